"""What a dataset's predictions are worth, and the metrics that no library has as they are asked.

Which metrics there are, and how each is called, is in gbench/metrics.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gbench.errors import UserError
from gbench.locate import locate
from gbench.metrics import Metric, find
from gbench.offline_ogb import offline_ogb
from gbench.train.undefined import lacks, undefined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gbench.data.spec import DataCard

    Array = NDArray[Any]

BINS = 15  # of confidence, of the expected calibration error


def score(card: DataCard, logits: Tensor, y: Tensor) -> float:
    """The dataset's metric over a whole split: OGB's own evaluator where the card names one.

    NaN where the metric is undefined (see gbench/train/undefined.py). Logits of a lower precision
    are float32 here: numpy and sums over a split know nothing less. Raises UserError where a
    function of the user's own returns no number.
    """
    if not card.evaluator:
        return value_of(find(card.metric), logits, y)
    y = y.cpu()  # where each question about a label is no wait
    return math.nan if undefined(card.metric, y) else _ogb_score(card.evaluator, logits, y)


def scores(names: Sequence[str], logits: Tensor, y: Tensor) -> dict[str, float]:
    """The values of other metrics over a whole split, by name."""
    return {name: value_of(find(name), logits, y) for name in names}


def value_of(metric: Metric, logits: Tensor, y: Tensor) -> float:
    """One metric over a whole split; NaN where it is undefined.

    Shapes: logits (T, C), y (T,) int64 of classes; logits and y (T, K) of others.
    """
    if metric.input != "logits":  # scikit-learn reads them there, and questions are no waits
        logits, y = logits.cpu(), y.cpu()
    if undefined(metric.name, y):
        return math.nan
    logits = _wide(logits)
    function = locate(metric.function, "metric")
    if metric.is_own:
        return _own_value(metric, function(logits, y))
    if metric.input == "logits":
        return float(function(logits, y, **metric.options))
    if metric.input == "answers" and not y.is_floating_point():
        return float(function(y.numpy(), logits.argmax(-1).numpy(), **metric.options))
    values = [
        float(function(truth, (said > 0) if metric.input == "answers" else said, **metric.options))
        for truth, said in columns(logits, y)
        if not lacks(metric, torch.from_numpy(truth))
    ]
    return sum(values) / len(values)


def _wide(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype.itemsize < 4 else logits


def columns(logits: Tensor, y: Tensor) -> Iterator[tuple[Array, Array]]:
    """Of each task, target or class its known labels, and what is said of them, in float64.

    Of a class these are whether it is the label, and its probability. Shapes: as `value_of`.
    """
    logits = _finite(logits)
    if not y.is_floating_point():
        logits, y = logits.double().softmax(-1), one_hot(y, logits.size(-1))
    for truth, said in zip(y.double().T, logits.double().T, strict=True):
        known = ~truth.isnan()
        yield truth[known].numpy(), said[known].numpy()


def _finite(logits: Tensor) -> Tensor:
    """What overflowed stays above, or below, all else: scikit-learn knows no infinity."""
    most = torch.finfo(torch.float32).max
    return logits.clamp(-most, most) if bool(logits.isinf().any()) else logits


def _own_value(metric: Metric, value: Any) -> float:
    """What a function of the user's own returned, which has to be one number."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        shape = getattr(value, "shape", None)
        what = f" of shape {tuple(shape)}" if shape is not None else ""
        raise UserError(
            f"metric {metric.name} returned a {type(value).__name__}{what}, and has to return one "
            "number"
        ) from error


def tensor_form(card: DataCard, y: Tensor) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The dataset's metric over these labels as a tensor on their device, (); None if it has none.

    `score` reads the very same number off it.
    """
    forms = {
        "accuracy": hit_rate,
        "mae": absolute_error,
        "rmse": root_squared_error,
    }
    if card.evaluator or undefined(card.metric, y):
        return None
    return forms.get(card.metric)


def hit_rate(logits: Tensor, y: Tensor) -> Tensor:
    """Share of rows whose largest logit is at their class. Shapes: (T, C), (T,) → ()."""
    return (logits.argmax(-1) == y).float().mean()


def accuracy(logits: Tensor, y: Tensor) -> float:
    """The same as a number."""
    return hit_rate(logits, y).item()


def f1(logits: Tensor, y: Tensor, average: str) -> float:
    """2 TP / (2 TP + FP + FN), with average "macro" of each class or task, and their mean.

    With "micro" of all classes or tasks together, which for classes is the accuracy. A task is
    answered by the sign of its logit; missing labels are left out. As scikit-learn's f1_score: a
    class that neither occurs nor is answered does not count, a task without a positive has 0.
    """
    from sklearn.metrics import f1_score

    logits, y = logits.cpu(), y.cpu()
    if not y.is_floating_point():
        return float(f1_score(y, logits.argmax(-1), average=average, zero_division=0))
    if average == "micro":
        logits, y = logits.view(-1, 1), y.view(-1, 1)
    values = [
        f1_score(truth, said > 0, zero_division=0)
        for truth, said in columns(logits, y)
        if truth.size
    ]
    return float(sum(values) / len(values))


def balanced_accuracy(truth: Array, answers: Array) -> float:
    """The mean over the classes that occur of the share of theirs that is answered so.

    Brodersen et al., The Balanced Accuracy and Its Posterior Distribution, ICPR 2010.
    """
    from sklearn.metrics import recall_score

    occurring = sorted({*truth.tolist()})
    return float(recall_score(truth, answers, labels=occurring, average="macro", zero_division=0))


def calibration_error(logits: Tensor, y: Tensor) -> float:
    """The expected calibration error: Σ_b (n_b / n) |accuracy of b - mean confidence of b|.

    The bins b are 15 of equal width, (0, 1/15], ..., (14/15, 1], of the confidence, the largest
    softmax probability of a row (Guo et al., On Calibration of Modern Neural Networks, ICML 2017).
    """
    confidence, answers = _finite(logits).cpu().double().softmax(-1).max(-1)
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
    bins = torch.bucketize(confidence, edges)  # 1 to 15
    gaps = torch.bincount(bins, (answers == y.cpu()).double() - confidence)
    return gaps.abs().sum().item() / len(y)


def area_under_precision_recall(truth: Array, score: Array) -> float:
    """The area under the precision-recall curve by the trapezoidal rule, as MoleculeNet's PRC-AUC.

    Average precision (`ap`) takes steps in its place, Σ (recall_n - recall_{n-1}) precision_n: it
    does not interpolate between thresholds, where a straight line is too optimistic (Davis and
    Goadrich, ICML 2006), so that the two differ where positives are few.
    """
    from sklearn.metrics import auc, precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, score)
    return float(auc(recall, precision))


def mean_absolute_error(logits: Tensor, y: Tensor) -> float:
    """Mean of |prediction - target| over the labelled entries."""
    return absolute_error(logits, y).item()


def absolute_error(logits: Tensor, y: Tensor) -> Tensor:
    """The same as a tensor. Shapes: (T, K), (T, K) → ()."""
    return (_wide(logits) - y).abs().nanmean()


def root_mean_squared_error(logits: Tensor, y: Tensor) -> float:
    """The root of the mean of (prediction - target)², averaged over tasks with labels."""
    return root_squared_error(logits, y).item()


def root_squared_error(logits: Tensor, y: Tensor) -> Tensor:
    """The same as a tensor. Shapes: (T, K), (T, K) → ()."""
    return (_wide(logits) - y).square().nanmean(dim=0).sqrt().nanmean()


def spearman(truth: Array, prediction: Array) -> float:
    """The correlation of the ranks, ties at their mean rank; 0 for a constant prediction."""
    from scipy.stats import spearmanr

    if (prediction == prediction[0]).all():
        return 0.0
    return float(spearmanr(truth, prediction).statistic)


def hits(logits: Tensor, y: Tensor, k: int) -> float:
    """OGB's Hits@K: the share of links that score above the K-th best of the other pairs."""
    evaluator = offline_ogb("linkproppred").Evaluator("ogbl-ddi")
    evaluator.K = k
    said, is_link = logits.float().cpu(), y.cpu() > 0
    answer = evaluator.eval({"y_pred_pos": said[is_link], "y_pred_neg": said[~is_link]})
    return float(answer[f"hits@{k}"])


def _ogb_score(name: str, logits: Tensor, y: Tensor) -> float:
    module = "graphproppred"
    if name.startswith("ogbn-"):  # it compares classes, in a column
        module, logits, y = "nodeproppred", logits.argmax(-1, keepdim=True), y.unsqueeze(-1)
    evaluator = offline_ogb(module).Evaluator(name)
    answer = evaluator.eval({"y_true": y.cpu().numpy(), "y_pred": logits.float().cpu().numpy()})
    return float(answer[evaluator.eval_metric])
