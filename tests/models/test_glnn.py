"""GLNN: its loss against the formula, and no label read where the published setting has none."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.glnn import GLNN
from gbench.models.mlp import MLP

SPEC = DataSpec("node", 7, 1433, loss="cross-entropy", teacher_dim=7)
SETTINGS: dict[str, Any] = {
    "hidden_dim": 128, "num_layers": 2, "norm": "none", "input_dropout": 0.0, "dropout": 0.6,
}  # fmt: skip


def model(weight: float) -> GLNN:
    torch.manual_seed(0)
    return GLNN(SPEC, label_weight=weight, **SETTINGS)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_loss_is_the_formula(weight: float) -> None:
    torch.manual_seed(1)
    logits = torch.randn(9, 7, requires_grad=True)
    t = torch.randn(9, 7).softmax(1)
    labels = logits.square().sum()
    got = model(weight).loss(logits, SimpleNamespace(teacher=t.log()), labels)  # type: ignore[arg-type]
    s = logits.exp() / logits.exp().sum(1, keepdim=True)
    told = (t * (t / s).log()).sum() / 9  # by nodes, not by nodes and classes
    torch.testing.assert_close(got["teacher"], told)
    torch.testing.assert_close(got["loss"], weight * labels + (1 - weight) * told)


def test_it_is_0_for_the_teachers_own_answers() -> None:
    logits = torch.randn(9, 7)
    batch: Any = SimpleNamespace(teacher=logits.log_softmax(1))
    got = model(0.0).loss(logits, batch, torch.tensor(3.0))
    assert got["loss"].abs() < 1e-6


def test_it_is_an_mlp() -> None:
    """Two layers of 128 on Cora: 1433 · 128 + 128 + 128 · 7 + 7 parameters."""
    ours = model(0.0)
    assert sum(p.numel() for p in ours.parameters()) == 184_455
    theirs = MLP(SPEC, readout="mean", **SETTINGS)
    theirs.load_state_dict(ours.state_dict())
    batch: Any = SimpleNamespace(
        x=torch.randn(5, 1433), valid_nodes=None, sparse_x=None, pe=None, asked=None
    )
    assert torch.equal(ours.eval()(batch), theirs.eval()(batch))


def test_without_a_weight_of_labels_their_values_change_nothing(made_up_teacher: Any) -> None:
    config = compose(["model=glnn", "data=csbm"])
    config["trainer"]["max_epochs"] = 1
    teaching = made_up_teacher(config)
    task = build_task(config, teaching)
    (batch,) = task.source.evaluation(task.dataset, task.dataset.split.train, 0)
    losses = []
    for y in (batch.y, 1 - batch.y):
        batch.y = y
        torch.manual_seed(2)
        losses.append(task.training_step(batch, 0).item())
    assert losses[0] == losses[1]


def test_binary_features_are_those_that_are_not_0(made_up_teacher: Any) -> None:
    config = compose(["model=glnn", "data=csbm", "model.binary_features=true", "model.dropout=0"])
    task = build_task(config, made_up_teacher(config))
    batch = task.dataset.store.whole()
    batch.x[:, ::2] = 0
    plain = MLP(task.dataset.spec, readout="mean", **SETTINGS)
    plain.load_state_dict(task.model.state_dict())
    ours, x = task.model.eval(), batch.x.clone()
    for _ in range(2):
        got = ours(batch)
    assert torch.equal(batch.x, x)
    torch.testing.assert_close(got, plain.eval()(replace(batch, x=(x != 0).float(), memo={})))


def test_what_it_cannot_do_is_told() -> None:
    with pytest.raises(UserError, match="glnn learns probabilities of classes, and the dataset's"):
        GLNN(DataSpec("node", 1, 3, loss="l1"), label_weight=0.0, **SETTINGS)
    with pytest.raises(
        UserError, match=r"model.label_weight=2: allowed is a number at least 0 and"
    ):
        compose(["model=glnn", "data=cora", "model.label_weight=2"])
    with pytest.raises(UserError, match="glnn cannot do without the answers of a finished run"):
        build_task(compose(["model=glnn", "data=csbm"]))
