"""Every loss: what computes it, which labels it is for, and its options with their usual values.

This table is the only place that says so; adding a loss is adding a row. Nothing here imports
torch. A dataset's YAML names its loss, and the options whose usual values it does not want:

    loss: focal
    loss_options: {gamma: 1.5}

A loss of one's own is a function of (logits, y) in the folder given by --config-dir, which the YAML
names as `loss: my_module.my_function`, with `loss_labels: classes`, `tasks` or `numbers` beside it.
Its options are the function's own. See loss_of in gbench/train/losses.py.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

from gbench.errors import UserError, unknown
from gbench.limits import Interval
from gbench.metrics import Labels, is_dotted

BALANCED = "balanced"  # weights of classes: (number of labels) / (classes · labels of the class)


class ClassWeights:
    """Weights of classes: a list of numbers above 0, one for each class, or `balanced`."""

    def __contains__(self, value: object) -> bool:
        if isinstance(value, list):
            return bool(value) and all(weight in Interval(0, low_open=True) for weight in value)
        return value in (None, BALANCED)

    def __str__(self) -> str:
        return f"{BALANCED}, or a list of numbers above 0, one for each class"


class Option(NamedTuple):
    """A setting of a loss: its usual value, and those that it may have."""

    usual: Any
    allowed: Container[Any]


@dataclass(frozen=True)
class Loss:
    """One loss; `function` is a dotted name, called as function(logits, y, **options)."""

    name: str
    function: str
    labels: Labels
    options: Mapping[str, Option] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)  # arguments that are always the same

    @property
    def is_own(self) -> bool:
        """Whether it is a function of the user's own."""
        return self.name == self.function


_TORCH, _TRAIN = "torch.nn.functional.", "gbench.train.losses."
_TERMS = {"reduction": "none"}  # a term for each entry: the mean is over those with a label

# Of each kind of labels the first loss is the usual one.
LOSSES = {
    loss.name: loss
    for loss in (
        Loss("cross-entropy", _TRAIN + "cross_entropy", "classes",
             {"weights": Option(None, ClassWeights()),
              "label_smoothing": Option(0.0, Interval(0, 1, high_open=True))}),
        Loss("focal", _TRAIN + "focal", "classes", {"gamma": Option(2.0, Interval(0))}),
        Loss("bce", _TORCH + "binary_cross_entropy_with_logits", "tasks", given=_TERMS),
        Loss("mse", _TORCH + "mse_loss", "numbers", given=_TERMS),
        Loss("l1", _TORCH + "l1_loss", "numbers", given=_TERMS),
        Loss("huber", _TORCH + "huber_loss", "numbers",
             {"delta": Option(1.0, Interval(0, low_open=True))}, _TERMS),
        Loss("quantile", _TRAIN + "quantile", "numbers",
             {"q": Option(0.5, Interval(0, 1, low_open=True, high_open=True))}),
    )
}  # fmt: skip
OF_LOSSES: tuple[Labels, ...] = ("classes", "tasks", "numbers")  # pairs of nodes are tasks to them
assert set(OF_LOSSES) < set(get_args(Labels))


def find(name: str, labels: str = "") -> Loss:
    """The loss of this name: one of the table, or a function of one's own for such labels.

    Raises UserError for any other, and where the labels are not those of the loss.
    """
    if name in LOSSES:
        loss = LOSSES[name]
        if labels not in ("", loss.labels):
            raise UserError(f"loss {name} is for {loss.labels}, not for {labels}")
        return loss
    if not is_dotted(name):
        hint = "One of your own is named as my_module.my_function"
        raise unknown("loss", name, LOSSES, hint)
    if labels not in OF_LOSSES:
        asked = f"is {labels}, and has to be" if labels else "has to say what it is for:"
        raise UserError(f"loss_labels of {name}, your own, {asked} {', '.join(OF_LOSSES)}")
    return Loss(name, name, labels)


def fitting(labels: Labels) -> list[str]:
    """The names of the losses for such labels."""
    return [loss.name for loss in LOSSES.values() if loss.labels == labels]


def usual(labels: Labels) -> str:
    """The loss of own data with such labels that names none."""
    return fitting(labels)[0]


def check_options(loss: Loss, options: Mapping[str, Any]) -> None:
    """Raise UserError for an option that the loss has not, or a value that it may not have."""
    if loss.is_own:
        return
    for name, value in options.items():
        if name not in loss.options:
            error = unknown(f"option of loss {loss.name}", name, loss.options)
            raise UserError(f"loss_options.{name}={value}: {error}")
        allowed = loss.options[name].allowed
        if value not in allowed:
            raise UserError(f"loss_options.{name}={value}: allowed is {allowed}")


def options_of(loss: Loss, options: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments beside (logits, y) of a loss with these options."""
    usual = {name: option.usual for name, option in loss.options.items()}
    return {**loss.given, **usual, **options}
