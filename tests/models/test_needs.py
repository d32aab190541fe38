"""What a model cannot do without is told before it trains, with what to type."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from gbench.build import build_task
from gbench.cli.main import main
from gbench.config.compose import compose
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.needs import FIELDS, check_needs

BARE = DataSpec("node", 2, 3)
FULL = DataSpec(
    "node", 2, 3, edge_categories=(2,), pe_dim=1, edge_dim=1, has_edge_weight=True, num_numbers=1,
    pair_dim=1, teacher_dim=2,
)  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_each_need_is_met_by_its_field_and_told_else(name: str) -> None:
    target = SimpleNamespace(needs=(name,), __qualname__="Own")
    check_needs(target, "own", "cora", FULL)
    with pytest.raises(UserError) as error:
        check_needs(target, "own", "cora", BARE)
    said = str(error.value)
    assert said.startswith("model=own cannot do without ") and f"(batch.{name})" in said
    assert said.endswith(FIELDS[name].brought_by)


def test_a_need_is_one_that_there_is() -> None:
    with pytest.raises(UserError, match=r"word in Own.needs 'teachers': did you mean 'teacher'"):
        check_needs(SimpleNamespace(needs=("teachers",), __qualname__="Own"), "own", "cora", FULL)
    with pytest.raises(UserError, match=r"Own.needs is 'pe': wanted is \(\"pe\",\)"):
        check_needs(SimpleNamespace(needs="pe", __qualname__="Own"), "own", "cora", FULL)
    with pytest.raises(
        UserError, match=r"word in Own.uses 'edge_weights': did you mean 'edge_weig"
    ):
        check_needs(SimpleNamespace(uses=("edge_weights",), __qualname__="Own"), "own", "", FULL)
    with pytest.raises(UserError, match=r"Own.uses is 'pe': wanted is \(\"pe\",\)"):
        check_needs(SimpleNamespace(uses="pe", __qualname__="Own"), "own", "cora", FULL)


CODE = """
import torch

class Own(torch.nn.Module):
    needs = ("pe",)

    def __init__(self, spec):
        super().__init__()
        self.lin = torch.nn.Linear(spec.num_features + spec.pe_dim, spec.num_outputs)

    def forward(self, batch):
        x = self.lin(torch.cat([batch.x, batch.pe], 1))
        return x if batch.pairs is None else x[batch.pairs].prod(1)
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "own_needy.py").write_text(CODE)
    (tmp_path / "model").mkdir()
    for name, levels in {"needy": "[node]", "pairs": "[link]"}.items():
        text = f"# @package _global_\nmodel: {{_target_: own_needy.Own, levels: {levels}}}\n"
        (tmp_path / f"model/own-{name}.yaml").write_text(text)
    return tmp_path


def test_a_run_is_refused_before_it_trains(mine: Path) -> None:
    words = ["model=own-needy", "data=csbm"]
    with pytest.raises(UserError, match="own-needy cannot do without a positional encoding"):
        build_task(compose(words, [mine]))
    build_task(compose([*words, "encoding=rwse"], [mine]))


def test_a_model_that_answers_pairs_itself_has_no_predictor(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = compose(["model=own-pairs", "data=ogbl-ddi"], [mine])
    assert "predictor" not in config
    with pytest.raises(UserError, match="predictor: model=own-pairs answers pairs of nodes itself"):
        compose(["model=own-pairs", "data=ogbl-ddi", "predictor.num_layers=2"], [mine])
    with pytest.raises(UserError, match="own-pairs works on link-level datasets, and cora is node"):
        compose(["model=own-pairs", "data=cora"], [mine])
    assert main(["check", "--config-dir", str(mine), "model=own-pairs"]) == 2
    assert "answers pairs of nodes itself, and gbench check" in capsys.readouterr().err
