"""Losses against closed forms, torch's own, finite differences; weights of training labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from gbench import losses
from gbench.data.class_weights import with_weights
from gbench.data.judged import check_judged
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.losses import LOSSES
from gbench.train.losses import loss_of


def card(loss: str, level: str = "node", **options: Any) -> DataCard:
    return DataCard(
        name="made-up", _target_="", level=level, loss=loss, metric="", direction="max", split="",  # type: ignore[arg-type]
        num_folds=1, fold=0, source="", licence="", citation="", loss_options=options,
    )  # fmt: skip


def batch(labels: str, rows: int = 40) -> tuple[Tensor, Tensor]:
    """Logits and labels of three classes, tasks or targets, with gaps where there may be any."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(rows, 3, generator=generator)
    if labels == "classes":
        return logits, torch.randint(0, 3, (rows,), generator=generator)
    y = torch.randn(rows, 3, generator=generator)
    y = (y > 0).float() if labels == "tasks" else y
    y[torch.rand(rows, 3, generator=generator) < 0.3] = math.nan
    return logits, y


LOGITS, Y = torch.tensor([[1.0, 0.0, -1.0], [0.5, 0.5, 2.0]]), torch.tensor([0, 1])
P = LOGITS.double().softmax(-1)
P_Y = [float(P[0, 0]), float(P[1, 1])]


@pytest.mark.parametrize(
    ("loss", "options", "expected"),
    [
        ("cross-entropy", {}, -(math.log(P_Y[0]) + math.log(P_Y[1])) / 2),
        ("cross-entropy", {"weights": [1.0, 3.0, 7.0]},
         -(math.log(P_Y[0]) + 3 * math.log(P_Y[1])) / 4),
        ("cross-entropy", {"label_smoothing": 0.3},
         -sum(0.7 * math.log(P_Y[i]) + 0.1 * sum(math.log(p) for p in P[i]) for i in (0, 1)) / 2),
        ("focal", {}, -sum((1 - p) ** 2 * math.log(p) for p in P_Y) / 2),
        ("focal", {"gamma": 0.5}, -sum((1 - p) ** 0.5 * math.log(p) for p in P_Y) / 2),
    ],
)  # fmt: skip
def test_losses_of_classes_closed_forms(
    loss: str, options: dict[str, Any], expected: float
) -> None:
    assert loss_of(card(loss, **options), LOGITS, Y).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "options", "terms"),
    [
        ("huber", {}, [0.5 * 0.5**2, 3 - 0.5]),
        ("huber", {"delta": 2.0}, [0.5 * 0.5**2, 2 * (3 - 1)]),
        ("quantile", {}, [0.25, 1.5]),
        ("quantile", {"q": 0.9}, [0.9 * 0.5, 0.1 * 3]),  # too low costs q, too high 1 - q
        ("l1", {}, [0.5, 3]),
        ("mse", {}, [0.25, 9]),
    ],
)
def test_losses_of_numbers_closed_forms(
    loss: str, options: dict[str, Any], terms: list[float]
) -> None:
    logits, y = torch.tensor([[1.0, 4.0]]), torch.tensor([[1.5, 1.0]])
    assert loss_of(card(loss, **options), logits, y).item() == pytest.approx(sum(terms) / 2)
    y[0, 0] = math.nan
    assert loss_of(card(loss, **options), logits, y).item() == pytest.approx(terms[1])


def test_without_options_they_are_torchs_bit_for_bit() -> None:
    logits, y = batch("classes")
    assert loss_of(card("cross-entropy"), logits, y).item() == F.cross_entropy(logits, y).item()
    assert loss_of(card("focal", gamma=0.0), logits, y).item() == pytest.approx(
        F.cross_entropy(logits, y).item(), rel=1e-6
    )
    for loss, theirs in (("bce", F.binary_cross_entropy_with_logits), ("l1", F.l1_loss)):
        logits, y = batch(LOSSES[loss].labels)
        known = ~y.isnan()
        terms = theirs(logits, y.nan_to_num(), reduction="none")
        expected = (terms * known).sum() / known.sum()
        assert loss_of(card(loss), logits, y).item() == expected.item()


def test_the_quantile_loss_is_least_at_the_quantile() -> None:
    y = torch.arange(101.0).view(-1, 1)
    values = [loss_of(card("quantile", q=0.9), torch.full_like(y, c), y).item() for c in range(101)]
    assert int(np.argmin(values)) == 90


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_finite_and_those_of_finite_differences(loss: str) -> None:
    logits, y = batch(LOSSES[loss].labels, rows=6)
    logits[0] = torch.tensor([90.0, -90.0, 0.0])  # where a probability rounds to 1 and to 0
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(card(loss), logits, y), logits)
    assert bool(gradient.isfinite().all())
    for i, j in ((1, 0), (2, 2), (4, 1)):
        step = torch.zeros_like(logits)
        step[i, j] = 1e-2
        with torch.no_grad():
            after, before = (loss_of(card(loss), logits + s, y) for s in (step, -step))
        expected = (after - before).item() / 2e-2
        assert gradient[i, j].item() == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 5.0])
def test_focal_has_a_gradient_where_a_row_is_certain(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    loss = loss_of(card("focal", gamma=gamma), logits, torch.tensor([0, 0]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert bool(gradient.isfinite().all()) and loss.item() == pytest.approx(100.0)


@pytest.mark.parametrize("loss", ["bce", "l1", "huber", "quantile"])
def test_links_count_as_much_as_all_others_together(loss: str) -> None:
    logits, y = torch.tensor([[0.3], [1.0], [-2.0], [0.1]]), torch.tensor([[1.0], [0], [0], [0]])
    parts = [loss_of(card(loss), logits[rows], y[rows]) for rows in (slice(1), slice(1, 4))]
    assert loss_of(card(loss, "link"), logits, y).item() == pytest.approx(sum(map(float, parts)))


def test_balanced_weights_are_scikit_learns_of_the_training_labels_alone() -> None:
    y, train = torch.tensor([2, 2, 0, 0, 0, 0, 1, 1, 2, 3]), torch.arange(2, 9)
    balanced = card("cross-entropy", weights="balanced")
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y[train].numpy())
    assert with_weights(balanced, y, train, 3).loss_options["weights"] == pytest.approx(expected)
    of_four = with_weights(balanced, y, train, 4).loss_options["weights"]
    assert of_four == pytest.approx([7 / 16, 7 / 8, 7 / 4, 7 / 4])  # as if one label were the last
    assert with_weights(card("focal"), y, train, 3) == card("focal")
    with pytest.raises(UserError, match=r"has 3 classes, and its loss_options.weights are 2"):
        with_weights(card("cross-entropy", weights=[1.0, 2.0]), y, train, 3)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"loss": "foca"}, "data.loss=foca: unknown loss 'foca': did you mean 'focal'"),
        ({"loss_options": {"gama": 1}}, "unknown option of loss focal 'gama': did you mean 'gam"),
        ({"loss_options": {"gamma": -1}}, "loss_options.gamma=-1: allowed is a number at least 0"),
        ({"loss_options": 3}, "data.loss_options=3: expected a group of options"),
        ({"loss_labels": "tasks"}, "loss focal is for classes, not for tasks"),
        ({"loss": "mine.own"}, "loss_labels of mine.own, your own, has to say what it is for"),
        ({"loss": "mine.own", "loss_labels": "links"}, "is links, and has to be classes, tas"),
        ({"loss": "cross-entropy", "loss_options": {"weights": [1, 0]}}, "allowed is balanced, or"),
        ({"loss": "cross-entropy", "loss_options": {"weights": "even"}}, "weights=even: allowed i"),
        ({"loss": "cross-entropy", "loss_options": {"label_smoothing": 1.0}}, "and below 1"),
    ],
)  # fmt: skip
def test_a_wrong_loss_is_told_by_what_is_allowed(facts: dict[str, Any], message: str) -> None:
    usual = {"name": "made-up", "level": "node", "loss": "focal", "metric": "accuracy"}
    with pytest.raises(UserError) as told:
        check_judged(usual | {"direction": "max"} | facts)
    assert message in str(told.value)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_row_of_the_table_is_whole(loss: str) -> None:
    row = losses.find(loss)
    assert row.name == loss and row.labels in losses.OF_LOSSES and not row.is_own
    losses.check_options(row, {name: option.usual for name, option in row.options.items()})
    assert card(loss).labels == row.labels
