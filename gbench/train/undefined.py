"""Where a metric has no value for the labels of a part: told before training, once, for each."""

from __future__ import annotations

from torch import Tensor

from gbench.metrics import Metric, find

_NOTHING = "nothing is labelled"
_ALIKE = {
    "two classes": "there are labels of one class alone",
    "two numbers": "there are labels of one number alone",
}


def undefined(name: str, y: Tensor) -> str:
    """Why the metric has no value for these labels; empty if it has one.

    Of several columns one that has suffices. Shapes: y (T,) int64 or (T, K), NaN where a label is
    missing.
    """
    metric = find(name)
    if metric.needs == "k others":
        return _few_pairs(y, **metric.options)
    if not y.numel():
        return _NOTHING
    if metric.needs not in _ALIKE and not y.is_floating_point():  # asked in each epoch
        return ""
    reasons = []
    for column in y.view(len(y), -1).T:
        known = column[~column.isnan()] if y.is_floating_point() else column
        reasons.append(lacks(metric, known))
        if not reasons[-1]:
            return ""
    reason = next((reason for reason in reasons if reason != _NOTHING), _NOTHING)
    return reason.replace("there are", "every task has") if len(reasons) > 1 else reason


def lacks(metric: Metric, column: Tensor) -> str:
    """The same for a column without the labels that are missing. Shapes: (n,)."""
    if not column.numel():
        return _NOTHING
    is_constant = metric.needs in _ALIKE and bool((column == column[0]).all())
    return _ALIKE[metric.needs] if is_constant else ""


def _few_pairs(y: Tensor, k: int) -> str:
    others = int((y <= 0).sum())
    if not bool((y > 0).any()):
        return "there is no link"
    return f"there are {others} pairs without a link, fewer than {k}" if others < k else ""


def told(metric: str, part: str, reason: str, monitor: str) -> str:
    """The sentence for a part, "valid" or "test", whose metric is undefined.

    `monitor` is empty for a metric of `trainer.also`, which decides nothing.
    """
    if part == "test":
        return f"the test part has no {metric} ({reason}): the record's will be nan"
    if not monitor:
        return f"the validation part has no {metric} ({reason}): it is told as nan"
    done = (
        "no epoch is better than another, so all of trainer.max_epochs are run and the weights of "
        "the last are tested; trainer.monitor=loss chooses an epoch by its validation loss"
        if monitor == "metric"
        else f"epochs are chosen by trainer.monitor={monitor}"
    )
    return f"the validation part has no {metric} ({reason}): {done}"
