"""A loss of the model's own: what is minimised in training in place of the dataset's loss.

    def loss(self, logits, batch, dataset_loss):
        return {"loss": dataset_loss + self.cut, "cut": self.cut}

The entry "loss" is minimised; every entry is shown, as `train_loss`, `train_cut`, in the curve's
file, the progress and the logger, as the mean over the batches of an epoch. `dataset_loss` is ().
Labels that are no targets of the batch are hidden from it: -100, which torch's cross-entropy leaves
out, or NaN. Evaluation does not call it: `valid_loss` is the dataset's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gbench.errors import UserError
from gbench.train.own_method import own_method, place

if TYPE_CHECKING:
    from gbench.data.batch import Batch

NO_CLASS = -100  # torch's ignore_index
TAKEN = ("seconds",)  # `train_seconds` is another column of the curve
SHOWN = "loss"  # the entry that is minimised


class OwnLoss:
    """The loss of a model that has one; its entries are those of the first batch."""

    def __init__(self, method: Callable[..., Any], model: nn.Module) -> None:
        self.method, self.model = method, model
        self.names: tuple[str, ...] = ()  # of the entries besides the one that is minimised

    @staticmethod
    def of(model: nn.Module) -> OwnLoss | None:
        """None where the dataset's loss is trained on. Raises UserError as `own_method` does."""
        method = own_method(model, "loss", "logits", "batch", "dataset_loss")
        return None if method is None else OwnLoss(method, model)

    def __call__(self, logits: Tensor, batch: Batch, dataset_loss: Tensor) -> tuple[Tensor, Tensor]:
        """What is minimised, (), and the other entries (T,), detached.

        Raises UserError for what the method must not return.
        """
        terms = self.method(logits, with_targets_alone(batch), dataset_loss)
        self._check(terms, logits)
        loss = terms[SHOWN].reshape(())
        rest = [terms[name].detach().reshape(()).float() for name in self.names]
        return loss, torch.stack(rest) if rest else loss.new_zeros(0)

    def _check(self, terms: object, logits: Tensor) -> None:
        where = place(self.method)
        if not isinstance(terms, Mapping) or not isinstance(terms.get(SHOWN), Tensor):
            told = f"the entries {[*terms]}" if isinstance(terms, Mapping) else _kind(terms)
            raise UserError(
                f'{where} returned {told}: a dict is wanted whose entry "loss", a tensor, is '
                'minimised, as {"loss": dataset_loss + penalty, "penalty": penalty}'
            )
        for name, value in terms.items():
            if not isinstance(name, str) or not name.isidentifier() or name in TAKEN:
                raise UserError(f"{where} returned an entry {name!r}: it cannot be a column's name")
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise UserError(f'{where}: its entry "{name}" is {_kind(value)}, not one number')
        if not terms[SHOWN].requires_grad and logits.requires_grad:
            raise UserError(
                f'{where}: its entry "loss" has no gradient: compute it from logits, dataset_loss '
                "or the model's parameters with torch alone, without detach() or item()"
            )
        names = tuple(name for name in terms if name != SHOWN)
        if self.names and names != self.names:
            raise UserError(
                f"{where} returned the entries {', '.join(names)} besides the loss, and "
                f"{', '.join(self.names)} in the first batch: return the same in every batch"
            )
        self.names = names


def with_targets_alone(batch: Batch) -> Batch:
    """The batch with the labels of its targets, and none of other nodes."""
    targets = batch.targets
    if targets is None:
        return batch
    kept = batch.memo.get("labels_of_targets")
    if kept is None or kept[0] is not targets or kept[1] is not batch.y:
        with torch.inference_mode(False):
            kept = (targets, batch.y, hidden(batch.y, targets))
        batch.memo["labels_of_targets"] = kept
    return replace(batch, y=kept[2])


def hidden(y: Tensor, shown: Tensor) -> Tensor:
    """Labels of the rows `shown` alone: others are -100 or NaN. Shapes: (N,) or (N, K), (T,)."""
    labels = torch.full_like(y, torch.nan if y.is_floating_point() else NO_CLASS)
    labels[shown] = y[shown]
    return labels


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
