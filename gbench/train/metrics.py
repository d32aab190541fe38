"""A dataset's own loss and metric, the only ones its runs are trained on and judged by."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from gbench.errors import unknown

if TYPE_CHECKING:
    from gbench.data.spec import DataCard


def loss_of(card: DataCard, logits: Tensor, y: Tensor) -> Tensor:
    """The dataset's training loss, averaged over rows (and labelled entries).

    Shapes: logits (T, C), y (T,) int64 for cross-entropy; logits and y (T, K) for bce and l1,
    where NaN in y marks a missing label.
    """
    if card.loss == "cross-entropy":
        return F.cross_entropy(logits.float(), y)
    if card.loss == "bce":
        # A mask instead of y[labelled]: boolean indexing would make a GPU wait for the CPU.
        labelled = ~y.isnan()
        total = F.binary_cross_entropy_with_logits(
            logits.float(), y.nan_to_num(), weight=labelled.float(), reduction="sum"
        )
        return total / labelled.sum()
    return F.l1_loss(logits.float(), y)


def score(card: DataCard, logits: Tensor, y: Tensor) -> float:
    """The dataset's metric over a whole split: OGB's own evaluator where the card names one."""
    if card.evaluator:
        return _ogb_score(card.evaluator, logits, y)
    if card.metric not in METRICS:
        raise unknown("metric", card.metric, METRICS, f"The YAML of {card.name} asks for it")
    return METRICS[card.metric](logits, y)


def accuracy(logits: Tensor, y: Tensor) -> float:
    """Share of rows whose largest logit is at their class."""
    return (logits.argmax(-1) == y).float().mean().item()


def mean_absolute_error(logits: Tensor, y: Tensor) -> float:
    """Mean of |prediction - target|."""
    return (logits - y).abs().mean().item()


def rocauc(logits: Tensor, y: Tensor) -> float:
    """Area under the ROC curve, averaged over the tasks that have both classes."""
    from sklearn.metrics import roc_auc_score

    per_task = []
    for prediction, label in zip(logits.T.cpu(), y.T.cpu(), strict=True):
        known = ~label.isnan()
        if label[known].unique().numel() == 2:
            per_task.append(float(roc_auc_score(label[known], prediction[known])))
    return sum(per_task) / len(per_task) if per_task else float("nan")


METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "accuracy": accuracy,
    "mae": mean_absolute_error,
    "rocauc": rocauc,
}


def _ogb_score(name: str, logits: Tensor, y: Tensor) -> float:
    # `import ogb` asks the package index for a newer version through `outdated`; without that
    # package it does not.
    sys.modules.setdefault("outdated", None)  # type: ignore[arg-type]
    from ogb.graphproppred import Evaluator

    evaluator = Evaluator(name)
    answer = evaluator.eval({"y_true": y.cpu().numpy(), "y_pred": logits.float().cpu().numpy()})
    return float(answer[evaluator.eval_metric])


def is_better(card: DataCard, value: float, best: float | None) -> bool:
    """Whether a validation metric beats the best so far; a tie keeps the earlier epoch."""
    if math.isnan(value):
        return False
    return best is None or (value > best if card.direction == "max" else value < best)
