"""Losses and metrics against scikit-learn, OGB's evaluator and closed forms."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from sklearn.metrics import roc_auc_score

from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.metrics import METRICS, find
from gbench.train.losses import loss_of
from gbench.train.metrics import score


def card(**facts: str) -> DataCard:
    values = {"loss": "cross-entropy", "metric": "accuracy", "direction": "max", "evaluator": ""}
    return DataCard(
        name="made-up", _target_="", level="graph", split="", num_folds=1, fold=0,
        source="", licence="", citation="", **(values | facts),  # type: ignore[arg-type]
    )  # fmt: skip


def test_accuracy_counts_the_largest_logit() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 4.0], [1.0, 0.0]])
    assert score(card(), logits, torch.tensor([0, 1, 0, 1])) == 0.5


def test_rocauc_ignores_missing_labels_and_tasks_of_one_class() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(60, 3, generator=generator)
    y = torch.randint(0, 2, (60, 3), generator=generator).float()
    y[:, 2] = 1.0
    y[::4, 0] = math.nan
    known = ~y[:, 0].isnan()
    expected = (
        roc_auc_score(y[known, 0], logits[known, 0]) + roc_auc_score(y[:, 1], logits[:, 1])
    ) / 2
    assert score(card(metric="rocauc"), logits, y) == pytest.approx(expected)


def test_ogb_evaluator_judges_molhiv() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 1, generator=generator)
    y = torch.randint(0, 2, (200, 1), generator=generator).float()
    value = score(card(metric="rocauc", evaluator="ogbg-molhiv"), logits, y)
    assert value == pytest.approx(roc_auc_score(y, logits))
    assert value == pytest.approx(score(card(metric="rocauc"), logits, y))


def test_ogb_does_not_ask_the_package_index_for_a_newer_version() -> None:
    """In a fresh process: the import opens no connection and starts no thread."""
    code = (
        "import socket, threading, torch\n"
        "def refuse(*a, **k): raise SystemExit('a connection was tried')\n"
        "socket.socket.connect = refuse\n"
        "before = threading.active_count()\n"
        "from gbench.train.metrics import _ogb_score\n"
        "x, y = torch.tensor([[0.2], [0.7]]), torch.tensor([[0.0], [1.0]])\n"
        "print(_ogb_score('ogbg-molhiv', x, y))\n"
        "assert threading.active_count() == before"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "1.0"


def test_bce_averages_over_labelled_entries_alone() -> None:
    logits = torch.tensor([[0.3, -1.0], [2.0, 0.5]])
    y = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    terms = [
        -math.log(1 / (1 + math.exp(-0.3))),
        -math.log(1 - 1 / (1 + math.exp(-2.0))),
        -math.log(1 / (1 + math.exp(-0.5))),
    ]
    assert loss_of(card(loss="bce"), logits, y).item() == pytest.approx(sum(terms) / 3)


def test_a_missing_label_has_no_gradient() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    loss_of(card(loss="bce"), logits, torch.tensor([[1.0, math.nan], [0.0, 1.0]])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 1] == 0
    assert (logits.grad.flatten()[[0, 2, 3]] != 0).all()


def test_cross_entropy_and_l1_closed_forms() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0]])
    assert loss_of(card(), logits, torch.tensor([2])).item() == pytest.approx(math.log(3))
    error = loss_of(card(loss="l1"), torch.tensor([[1.0], [4.0]]), torch.tensor([[2.0], [2.0]]))
    assert error.item() == pytest.approx(1.5)


def test_an_unknown_metric_is_told() -> None:
    with pytest.raises(UserError, match="unknown metric 'acuracy': did you mean 'accuracy'"):
        score(card(metric="acuracy"), torch.zeros(1, 2), torch.zeros(1, dtype=torch.long))


def multi_task(num_tasks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions and 0/1 labels of 300 molecules, half of them missing, some tasks one-sided."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(300, num_tasks, generator=generator)
    y = (torch.rand(300, num_tasks, generator=generator) < 0.1).float()
    y[torch.rand(300, num_tasks, generator=generator) < 0.5] = math.nan
    y[:, 3] = y[:, 3] * 0
    y[:, 5] = math.nan
    return logits, y


@pytest.mark.parametrize(
    ("evaluator", "metric", "num_tasks"),
    [("ogbg-molpcba", "ap", 128), ("ogbg-molmuv", "ap", 17), ("ogbg-moltox21", "rocauc", 12)],
)
def test_multi_task_metrics_are_those_of_ogb(evaluator: str, metric: str, num_tasks: int) -> None:
    logits, y = multi_task(num_tasks)
    value = score(card(metric=metric), logits, y)
    assert value == pytest.approx(score(card(metric=metric, evaluator=evaluator), logits, y))
    assert 0 < value < 1


def test_average_precision_counts_precision_at_each_positive() -> None:
    logits = torch.tensor([[3.0], [2.0], [1.0], [0.0]])
    y = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    assert score(card(metric="ap"), logits, y) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_root_mean_squared_error_is_that_of_ogb_and_skips_missing_labels() -> None:
    logits, y = torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([[0.0], [4.0], [math.nan]])
    known = card(metric="rmse", evaluator="ogbg-molesol", direction="min")
    assert score(known, logits, y) == pytest.approx(math.sqrt(5 / 2))
    assert score(card(metric="rmse"), logits, y) == pytest.approx(math.sqrt(5 / 2))
    two = score(card(metric="rmse"), torch.cat([logits, logits], 1), torch.cat([y, logits + 3], 1))
    assert two == pytest.approx((math.sqrt(5 / 2) + 3) / 2)


def test_mean_absolute_error_skips_missing_labels() -> None:
    logits, y = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[2.0, math.nan], [4.0, 1.0]])
    assert score(card(metric="mae"), logits, y) == pytest.approx(2.0)


@pytest.mark.parametrize("loss", ["bce", "l1", "mse"])
def test_losses_of_labelled_entries_are_torch_s_on_them_alone(loss: str) -> None:
    logits, y = multi_task(6)
    known = ~y.isnan()
    theirs = {
        "bce": torch.nn.functional.binary_cross_entropy_with_logits,
        "l1": torch.nn.functional.l1_loss,
        "mse": torch.nn.functional.mse_loss,
    }[loss]
    logits.requires_grad_()
    ours = loss_of(card(loss=loss), logits, y)
    assert ours.item() == pytest.approx(theirs(logits[known], y[known]).item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(ours, logits)
    assert not gradient[~known].any() and bool(gradient.isfinite().all())
    assert loss_of(card(loss=loss), logits, y * math.nan).item() == 0.0  # a batch without labels


@pytest.mark.parametrize("metric", [*METRICS, "hits@20"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_logits_of_a_lower_precision_are_judged_as_the_numbers_that_they_are(metric, dtype) -> None:
    logits, y = (part[:, :5] for part in multi_task(6))
    logits = logits.to(dtype)
    labels = find(metric).labels
    y = y.nan_to_num()[:, 0].long() if labels[0] in ("classes", "links") else y
    logits = logits[:, 0] if labels == ("links",) else logits
    found = score(card(metric=metric), logits, y)
    assert found == pytest.approx(score(card(metric=metric), logits.double(), y))
