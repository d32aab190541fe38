"""What is measured of a validated epoch, whichever way its validation part was answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning.pytorch.plugins.precision import Precision

from gbench.errors import UserError
from gbench.metrics import find
from gbench.models.answers import nan_answered
from gbench.train.losses import loss_of
from gbench.train.metrics import score, scores
from gbench.train.optimizer import decay_penalty, penalty

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from torch import Tensor

    from gbench.data.spec import DataCard
    from gbench.train.stretch import Validated
    from gbench.train.task import Task


@dataclass(frozen=True)
class Validation:
    """The metric as `valid`, each of `also` as `valid_NAME`, and `valid_loss` if anything reads it.

    Shapes: logits (T, C), y (T,) or (T, K) of T validation nodes, graphs or pairs.
    """

    also: Sequence[str]  # further metrics: trainer.also
    loss: bool
    objective: bool  # to the loss the penalty is added that weight decay descends

    def run(self, task: Task, trainer: Trainer, tick: Callable[[float], None]) -> dict[str, float]:
        """All of it from one forward pass; `tick` is told the fraction that is done."""
        card, precision = task.dataset.card, trainer.precision_plugin
        context = None if type(precision) is Precision else precision.val_step_context()
        logits, y = task.answers("valid", context, tick)
        values = self._measured(card, score(card, logits, y), logits, y)
        if self.loss:
            values["valid_loss"] = loss_of(card, logits, y).item()
        if self.objective:
            values["valid_loss"] += decay_penalty(trainer.optimizers[0])
        return values

    def told(
        self, task: Task, trainer: Trainer, valid: Validated, logits: Tensor | None, y: Tensor
    ) -> dict[str, float]:
        """The same of an epoch that ran on the device alone, and of whose logits some is known."""
        if valid.has_nan:
            raise nan_answered(task.model, "valid")
        card, metric = task.dataset.card, valid.metric
        if metric is None:
            assert logits is not None
            metric = score(card, logits, y)
        values = self._measured(card, metric, logits, y)
        if valid.loss is not None:
            values["valid_loss"] = valid.loss
        if valid.squares:
            decays = [group["weight_decay"] for group in trainer.optimizers[0].param_groups]
            values["valid_loss"] += penalty([each for each in decays if each], valid.squares)
        return values

    def _measured(
        self, card: DataCard, value: float, logits: Tensor | None, y: Tensor
    ) -> dict[str, float]:
        """The metric's value, and those of `also`, which are measured of the logits."""
        if find(card.metric).is_own and not math.isfinite(value):
            raise UserError(
                f"metric {card.metric} returned {value} on the validation part, and has "
                "to return a number, by which epochs are compared"
            )
        others = {} if logits is None else scores(self.also, logits, y)
        return {"valid": value} | {f"valid_{name}": other for name, other in others.items()}
