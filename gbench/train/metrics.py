"""A dataset's own loss and metric, the only ones its runs are trained on and judged by."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from gbench.errors import unknown
from gbench.train.undefined import undefined

if TYPE_CHECKING:
    from gbench.data.spec import DataCard

ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "bce": F.binary_cross_entropy_with_logits,
    "l1": F.l1_loss,
    "mse": F.mse_loss,
}


def loss_of(card: DataCard, logits: Tensor, y: Tensor) -> Tensor:
    """The dataset's training loss, averaged over rows (and labelled entries).

    Shapes: logits (T, C), y (T,) int64 for cross-entropy; logits and y (T, K) for bce, l1 and mse,
    where NaN in y marks a missing label. A batch without any label has loss 0. Of links and other
    pairs it is the mean over the links plus the mean over the others, as in OGB's examples.
    """
    if card.level == "link":
        terms = ELEMENTWISE[card.loss](logits.float(), y, reduction="none")
        return _mean(terms, y > 0) + _mean(terms, y <= 0)
    if card.loss == "cross-entropy":
        return F.cross_entropy(logits.float(), y)
    # A mask instead of y[labelled]: boolean indexing would make a GPU wait for the CPU.
    terms = ELEMENTWISE[card.loss](logits.float(), y.nan_to_num(), reduction="none")
    return _mean(terms, ~y.isnan())


def _mean(terms: Tensor, chosen: Tensor) -> Tensor:
    return (terms * chosen).sum() / chosen.sum().clamp(min=1)


def score(card: DataCard, logits: Tensor, y: Tensor) -> float:
    """The dataset's metric over a whole split: OGB's own evaluator where the card names one.

    NaN where the metric is undefined (see gbench/train/undefined.py). Logits of a lower precision
    are float32 here: numpy and sums over a split know nothing less.
    """
    if undefined(card, y):
        return math.nan
    if logits.dtype.itemsize < 4:
        logits = logits.float()
    if card.metric.startswith("hits@"):
        return _hits(int(card.metric.removeprefix("hits@")), logits, y)
    if card.evaluator:
        return _ogb_score(card.evaluator, logits, y)
    module = card._target_.rpartition(".")[0]
    if card.metric not in METRICS and module:  # the cache did without the loader, which may add it
        importlib.import_module(module)
    if card.metric not in METRICS:
        raise unknown("metric", card.metric, METRICS, f"The YAML of {card.name} asks for it")
    return METRICS[card.metric](logits, y)


def accuracy(logits: Tensor, y: Tensor) -> float:
    """Share of rows whose largest logit is at their class."""
    return (logits.argmax(-1) == y).float().mean().item()


def mean_absolute_error(logits: Tensor, y: Tensor) -> float:
    """Mean of |prediction - target| over the labelled entries."""
    return (logits - y).abs().nanmean().item()


def root_mean_squared_error(logits: Tensor, y: Tensor) -> float:
    """The root of the mean of (prediction - target)², averaged over tasks with labels."""
    return (logits - y).square().nanmean(dim=0).sqrt().nanmean().item()


def rocauc(logits: Tensor, y: Tensor) -> float:
    """Area under the ROC curve, averaged over the tasks that have both classes."""
    from sklearn.metrics import roc_auc_score

    return _mean_over_tasks(roc_auc_score, logits, y)


def average_precision(logits: Tensor, y: Tensor) -> float:
    """Σ (recall_n - recall_{n-1}) precision_n, averaged over the tasks that have both classes."""
    from sklearn.metrics import average_precision_score

    return _mean_over_tasks(average_precision_score, logits, y)


def _mean_over_tasks(metric: Callable[[Tensor, Tensor], float], logits: Tensor, y: Tensor) -> float:
    per_task = []
    for prediction, label in zip(logits.float().T.cpu(), y.T.cpu(), strict=True):
        known = ~label.isnan()
        if label[known].unique().numel() == 2:
            per_task.append(float(metric(label[known], prediction[known])))
    return sum(per_task) / len(per_task) if per_task else float("nan")


METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "accuracy": accuracy,
    "ap": average_precision,
    "mae": mean_absolute_error,
    "rmse": root_mean_squared_error,
    "rocauc": rocauc,
}


def _hits(k: int, logits: Tensor, y: Tensor) -> float:
    """OGB's Hits@K: the share of links that score above the K-th best of the other pairs."""
    sys.modules.setdefault("outdated", None)  # type: ignore[arg-type]
    from ogb.linkproppred import Evaluator

    evaluator = Evaluator("ogbl-ddi")
    evaluator.K = k
    scores, is_link = logits.float().cpu(), y.cpu() > 0
    answer = evaluator.eval({"y_pred_pos": scores[is_link], "y_pred_neg": scores[~is_link]})
    return float(answer[f"hits@{k}"])


def _ogb_score(name: str, logits: Tensor, y: Tensor) -> float:
    # `import ogb` asks the package index for a newer version through `outdated`; without that
    # package it does not.
    sys.modules.setdefault("outdated", None)  # type: ignore[arg-type]
    from ogb import graphproppred, nodeproppred

    module = graphproppred
    if name.startswith("ogbn-"):  # it compares classes, in a column
        module, logits, y = nodeproppred, logits.argmax(-1, keepdim=True), y.unsqueeze(-1)
    evaluator = module.Evaluator(name)
    answer = evaluator.eval({"y_true": y.cpu().numpy(), "y_pred": logits.float().cpu().numpy()})
    return float(answer[evaluator.eval_metric])
