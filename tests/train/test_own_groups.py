"""Groups of parameters that the model states itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gbench.config.compose import compose
from gbench.errors import UserError
from gbench.models.link_predictor import LinkPredictor
from gbench.train.groups import own_groups
from gbench.train.optimizer import make_optimizer


class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 3), nn.Linear(3, 2)
        self.said: Any = [
            {"params": [*self.one.parameters()], "weight_decay": 0.01},
            {"params": [self.two.bias], "lr": 0.5, "weight_decay": 0.0},
        ]

    def parameter_groups(self) -> Any:
        return self.said


def made(model: nn.Module, *words: str) -> dict[str, tuple[float, float]]:
    """Rate and decay of each parameter."""
    optim = compose(["model=gin", "data=csbm", "optim.lr=0.1", *words])["optim"]
    groups = make_optimizer(model, optim, fused=False).param_groups
    by_id = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    return {name: by_id[id(p)] for name, p in model.named_parameters()}


def test_they_come_on_top_of_what_optim_says() -> None:
    assert made(Grouped(), "optim.weight_decay=0.2") == {
        "one.weight": (0.1, 0.01),
        "one.bias": (0.1, 0.01),
        "two.weight": (0.1, 0.2),
        "two.bias": (0.5, 0.0),
    }


def test_optim_groups_may_set_what_they_do_not() -> None:
    found = made(Grouped(), "optim.groups=[{match:one.*,lr:0.7}]")
    assert found["one.weight"] == (0.7, 0.01)


@pytest.mark.parametrize(
    "words", ["optim.groups=[{match:one.bias,weight_decay:0.5}]", "optim.decay_prefix=one"]
)
def test_what_is_said_twice_is_told(words: str) -> None:
    with pytest.raises(
        UserError, match=r"weight_decay of one.* is set by optim.groups or decay_pr"
    ):
        made(Grouped(), words)


def test_within_a_link_predictor_they_are_the_models() -> None:
    inside = LinkPredictor(Grouped(), hidden_dim=2, num_layers=1, dropout=0.0)
    assert [*own_groups(inside)] == ["encoder.one.weight", "encoder.one.bias", "encoder.two.bias"]


WEIGHT = nn.Linear(2, 2).weight


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (lambda m: [{"params": [WEIGHT], "lr": 1.0}], "a group has what is no parameter of the mo"),
        (
            lambda m: [{"params": [], "lr": 1.0}],
            "returned a dict of params, lr for a group: wanted",
        ),
        (lambda m: [{"params": [m.one.bias]}], "returned a dict of params for a group: wanted"),
        (lambda m: None, "returned a NoneType for a group: wanted is a dict of params"),
        (lambda m: [{"params": [m.one.bias], "lr": 1.0}] * 2, "one.bias is in two groups"),
        (lambda m: [{"params": [m.one.bias], "lr": -1}], "lr of one.bias is -1, not a number from"),
        (lambda m: [{"params": [m.one.bias], "l": 1}], "unknown setting in the groups of Grouped"),
    ],
)
def test_what_is_no_group_is_told(said: Any, message: str) -> None:
    model = Grouped()
    model.said = said(model)
    with pytest.raises(UserError, match=message):
        made(model)


CODE = """
import torch

class Own(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.lin = torch.nn.Linear(spec.num_features, spec.num_outputs)

    def forward(self, batch):
        return self.lin(batch.x)

    def parameter_groups(self):
        return [{"params": [self.lin.weight], "lr": 0.0}]
"""


def test_a_run_steps_by_them_under_a_schedule(tmp_path: Path, run: Any) -> None:
    (tmp_path / "own_grouped.py").write_text(CODE)
    (tmp_path / "model").mkdir()
    text = "# @package _global_\nmodel: {_target_: own_grouped.Own, levels: [node]}\n"
    (tmp_path / "model/own-grouped.yaml").write_text(text)
    words = ("model=own-grouped", "data=csbm", "optim.lr=0.1", "optim.schedule=cosine")
    weights = []
    for epochs in (1, 3):
        _, folder = run(
            *words, f"trainer.max_epochs={epochs}", "trainer.select=last", dirs=[tmp_path]
        )
        weights.append(torch.load(folder / "best.ckpt", weights_only=True))
    assert torch.equal(weights[0]["lin.weight"], weights[1]["lin.weight"])
    assert not torch.equal(weights[0]["lin.bias"], weights[1]["lin.bias"])


def test_a_rate_of_0_in_optim_groups_keeps_parameters_as_they_are(run: Any) -> None:
    words = ("model=mlp", "data=csbm", "optim.groups=[{match:head.*,lr:0}]", "trainer.select=last")
    weights = []
    for epochs in (1, 3):
        _, folder = run(*words, f"trainer.max_epochs={epochs}")
        weights.append(torch.load(folder / "best.ckpt", weights_only=True))
    assert torch.equal(weights[0]["head.weight"], weights[1]["head.weight"])
    assert not torch.equal(weights[0]["layers.0.weight"], weights[1]["layers.0.weight"])
