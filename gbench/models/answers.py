"""What a model answers, checked against the labels, so that nothing is broadcast or cut to fit.

The loss of answers (B,) and labels (B, 1) is torch's of (B, B): a number like any other, and wrong.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from gbench.errors import UserError
from gbench.metrics import is_dotted

# what torch's batch and instance norms say, and gbench's own
_ONE_ROW = ("Expected more than 1 ", "batch norm in training needs more than one row")


def checked(answer: object, shape: tuple[int, int], model: nn.Module, what: str) -> Tensor:
    """The answer, if it is floating point numbers of this shape.

    `what` names rows and columns, as in "a row per graph and a column per class". Raises UserError
    for anything else, with the model's class and both shapes.
    """
    if isinstance(answer, Tensor) and answer.shape == shape and answer.is_floating_point():
        return answer
    wanted = f"{shape} is wanted, {what}"
    if not isinstance(answer, Tensor):
        kind = type(answer).__name__
        raise UserError(f"{called(model)} answers with a {kind}, where a tensor {wanted}")
    given = tuple(answer.shape)
    if given != shape:
        raise UserError(
            f"{called(model)} answers with shape {given}, where {wanted}{_hint(given, shape)}"
        )
    kind = str(answer.dtype).removeprefix("torch.")
    raise UserError(
        f"{called(model)} answers in {kind}: logits and predictions are floating point numbers"
    )


def _hint(given: tuple[int, ...], wanted: tuple[int, int]) -> str:
    rows, columns = wanted
    if given in ((rows,), (rows, columns, 1), (rows, 1, columns)):
        return f". End its forward with .view(-1, {columns})"
    if given[:1] == (rows,):
        return ". Its columns are spec.num_outputs"
    if given[1:] == (columns,) and given[0] > rows:
        return ". Does it pool the nodes of each graph?"
    return ""


def check_gradient(answer: Tensor, model: nn.Module) -> None:
    """Raise UserError for an answer in training from which no gradient leads back."""
    if not answer.requires_grad:
        raise UserError(
            f"{called(model)} answers in training without a gradient: is the answer detached, "
            "computed under no_grad, or made without a parameter?"
        )


def first_loss(
    value: float, logits: Tensor, x: Tensor, model: nn.Module, loss: str, own: str = ""
) -> UserError:
    """The error for a loss that is no number before anything was learnt; `loss` is its name.

    `own` is the place of the model's own loss, where that of the dataset is finite.
    """
    if x.is_floating_point() and not bool(x.isfinite().all()):
        reason = "the features hold values that are not finite"
    elif not bool(logits.isfinite().all()):
        reason = f"{called(model)} answers {value} to finite features, with its initial weights"
    elif own:
        reason = f"the answers and the dataset's loss are finite, and {own} makes {value} of them"
    elif is_dotted(loss):
        reason = f"the model's answers are finite, and {loss} makes {value} of them"
    else:
        reason = "the answers are finite; are the labels too large for a loss?"
    return UserError(f"the training loss is {value} in the first batch, before any step: {reason}")


def nan_answered(model: nn.Module, split: str) -> UserError:
    """The error for an answer in evaluation that holds nan."""
    return UserError(
        f"{called(model)} answers nan in evaluation, on the {split} part: try a smaller optim.lr; "
        "+trainer.detect_anomaly=true tells where it begins"
    )


def lone_row(model: nn.Module, error: ValueError, change: Callable[[], str]) -> UserError | None:
    """The error that says what to `change` where a norm got a single row; None of other errors."""
    if not any(words in str(error) for words in _ONE_ROW):
        return None
    return UserError(
        f"{called(model)} has a norm that got a single row, which has no variance ({error}): "
        f"{change()}, or take another norm"
    )


def check_unchanged(model: nn.Module, x: Tensor, version: int) -> None:
    """Raise a UserError if a model wrote into features which later epochs read again."""
    if x._version != version:
        raise UserError(
            f"{called(model)} changes batch.x in place, and these are the dataset's own features, "
            "which every epoch reads: change a copy, as batch.x.clone() makes one"
        )


@contextmanager
def anomalies_told(model: nn.Module) -> Iterator[None]:
    """Raise a UserError for what trainer.detect_anomaly finds in a backward pass in the block.

    torch warns of the call in `forward` first, with its stack: the innermost line is told.
    """
    if not torch.is_anomaly_enabled():
        yield
        return
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            yield
        except RuntimeError as error:
            if "returned nan values" not in str(error):
                raise
            lines = "\n".join(str(warning.message) for warning in warned).splitlines()
            calls = [number for number, line in enumerate(lines) if line.startswith("  File ")]
            place = (
                " ".join(line.strip() for line in lines[calls[-1] : calls[-1] + 2]) if calls else ""
            )
            raise UserError(
                f"trainer.detect_anomaly: in {called(model)}, {str(error).splitlines()[0]} {place}"
            ) from error


def called(model: nn.Module) -> str:
    """A model's class, with the file it stands in if that is not gbench's own."""
    kind = type(model)
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None or kind.__module__.startswith("gbench."):
        return kind.__qualname__
    return f"{kind.__qualname__} in {Path(file).name}"
