"""Every limited hyperparameter of every packaged model is refused where a model is built."""

from __future__ import annotations

import math

import pytest
from torch import Tensor, nn

from gbench.build import build_model
from gbench.choices import read_yaml
from gbench.config.floors import networks
from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.limits import LIMITS, Interval

SPEC = DataSpec("node", 3, 4)


def outside(key: str) -> list[object]:
    """Values that a setting may not have."""
    allowed = LIMITS[key]
    if not isinstance(allowed, Interval):
        return ["something-else", ""]
    above = [] if allowed.high == math.inf else [allowed.high + 1]
    bounds = [allowed.low] * allowed.low_open + [allowed.high] * allowed.high_open
    return [allowed.low - 1, math.nan, "many", True, None, *above, *bounds]


def limited() -> list[tuple[str, str]]:
    """Model and setting, of each file that names a class itself."""
    models = {name: read_yaml(path)["model"] for name, path in networks().items()}
    return [
        (name, key)
        for name, settings in models.items()
        if "_target_" in settings
        for key in settings
        if f"model.{key}" in LIMITS
    ]


@pytest.mark.parametrize(("name", "key"), limited())
def test_a_packaged_model_with_a_value_outside_its_limits_is_refused(name: str, key: str) -> None:
    settings = {"name": name, **read_yaml(networks()[name])["model"]}
    for value in outside(f"model.{key}"):
        with pytest.raises(UserError, match=rf"^model\.{key}={value}: allowed is "):
            build_model({**settings, key: value}, SPEC)


class Own(nn.Module):
    """A model of somebody's own whose parameter has the name of a limited one."""

    def __init__(self, spec: DataSpec, *, dropout: float = 0.0, width: int = 1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(spec.num_features, spec.num_outputs * width)

    def forward(self, batch: Batch) -> Tensor:
        out: Tensor = self.linear(self.dropout(batch.x))
        return out


def test_a_model_of_ones_own_has_the_limits_of_its_parameters_names() -> None:
    settings = {"name": "own", "_target_": f"{__name__}.Own"}
    with pytest.raises(UserError, match=r"^model\.dropout=1\.0: allowed is a number at least 0"):
        build_model({**settings, "dropout": 1.0}, SPEC)
    assert isinstance(build_model({**settings, "dropout": 0.5, "width": 2}, SPEC), Own)
    assert isinstance(build_model(settings, SPEC), Own)
