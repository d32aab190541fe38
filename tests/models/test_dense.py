"""Every dense layer of every packaged model is the one whose products go the faster way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

import gbench.models
from gbench.models.dense import Dense
from gbench.models.linear import Linear

MODELS = sorted(Path(gbench.models.__path__[0]).glob("*.py"))
# for GPUs alone
PLAIN_CALLS = {"norm_act.py"}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_no_model_makes_a_plain_linear_layer_or_calls_torchs(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name = ast.unparse(node.func)
        assert name not in ("nn.Linear", "torch.nn.Linear"), f"{path.name}:{node.lineno}"
        is_call = name in ("F.linear", "functional.linear", "torch.addmm", "F.bilinear")
        assert not is_call or path.name in PLAIN_CALLS, f"{path.name}:{node.lineno}: {name}"


@pytest.mark.parametrize("kind", [Dense, Linear])
def test_it_begins_as_torchs_does_and_is_saved_under_the_same_names(kind: type[nn.Linear]) -> None:
    torch.manual_seed(3)
    ours = kind(12, 5)
    torch.manual_seed(3)
    theirs = nn.Linear(12, 5)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for one, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    x = torch.randn(4, 12)
    torch.testing.assert_close(ours(x), theirs(x))
    assert kind(12, 5, bias=False).bias is None
