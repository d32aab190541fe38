"""Where a dataset's metric has no value: told before training, once, for each part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from gbench.data.own import LOWER_IS_BETTER, TASKS
from gbench.errors import UserError

if TYPE_CHECKING:
    from gbench.data.spec import DataCard

# the losses whose labels a metric can be computed from: those of its task
_LOSSES = {metric: {*losses.values()} for losses in TASKS.values() for metric in losses}


def check_metric(card: DataCard) -> None:
    """Raise UserError for a metric that does not fit the card's loss or its direction."""
    losses = _LOSSES.get(card.metric, {card.loss})
    if card.loss not in losses:
        fits = [metric for metric, known in _LOSSES.items() if card.loss in known]
        raise UserError(
            f"{card.name}: metric {card.metric} is for loss {' or '.join(sorted(losses))}, and the "
            f"YAML says loss {card.loss}, for which there is {', '.join(fits)}"
        )
    best = "min" if card.metric in LOWER_IS_BETTER else "max"
    if card.metric in _LOSSES and card.direction != best:
        raise UserError(
            f"{card.name}: direction {card.direction} would choose the worst {card.metric}: "
            f"write direction: {best}"
        )


def undefined(card: DataCard, y: Tensor) -> str:
    """Why the metric has no value for these labels; empty if it has one.

    Shapes: y (T,) or (T, K), NaN where a label is missing.
    """
    if card.metric.startswith("hits@"):
        others, k = int((y <= 0).sum()), int(card.metric.removeprefix("hits@"))
        if not bool((y > 0).any()):
            return "there is no link"
        return f"there are {others} pairs without a link, fewer than {k}" if others < k else ""
    if not y.is_floating_point():
        return "" if y.numel() else "nothing is labelled"
    labelled = ~y.isnan()
    if not bool(labelled.any()):
        return "nothing is labelled"
    if card.metric in ("rocauc", "ap"):
        is_one, is_zero = ((labelled & (y == value)).any(0) for value in (1, 0))
        if not bool((is_one & is_zero).any()):
            tasks = "every task has" if y.dim() == 2 and y.size(1) > 1 else "there are"
            return f"{tasks} labels of one class alone"
    return ""


def told(card: DataCard, part: str, reason: str, monitor: str) -> str:
    """The sentence for a part, "valid" or "test", whose metric is undefined."""
    if part == "test":
        return f"the test part has no {card.metric} ({reason}): the record's will be nan"
    done = (
        "no epoch is better than another, so all of trainer.max_epochs are run and the weights of "
        "the last are tested; trainer.monitor=loss chooses an epoch by its validation loss"
        if monitor == "metric"
        else f"epochs are chosen by trainer.monitor={monitor}"
    )
    return f"the validation part has no {card.metric} ({reason}): {done}"
