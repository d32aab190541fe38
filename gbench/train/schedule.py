"""The learning rate of each epoch, as a function of the curve before it alone.

Nothing is remembered between epochs, so that a resumed run goes on at the rate it would have had.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

# what torch's ReduceLROnPlateau takes for progress by default: a loss lower by this share
PROGRESS = 1e-4


@dataclass(frozen=True)
class Schedule:
    """The rate lr · factor^n, where n is one of three counts.

    constant: 0.
    step: how many times `every` epochs are over, as torch's StepLR, stepped after each epoch. GIN's
    authors step before each, which is the same in the versions that they name (0.4.1 and 1.0.0):
    there the first step counts none; since 1.1 the rate would fall one epoch sooner.
    plateau: how many times the validation loss had not fallen for more than `patience` epochs, as
    torch's ReduceLROnPlateau counts. A rate below `min_lr` ends the run.
    """

    rule: Literal["constant", "step", "plateau"]
    lr: float
    factor: float
    every: int
    patience: int
    min_lr: float

    @staticmethod
    def from_config(optim: Mapping[str, Any]) -> Schedule:
        """The schedule that the config's `optim` describes."""
        return Schedule(
            rule=optim["schedule"],
            lr=optim["lr"],
            factor=optim["lr_factor"],
            every=optim["lr_every"],
            patience=optim["lr_patience"],
            min_lr=optim["min_lr"],
        )

    @property
    def reads_loss(self) -> bool:
        """Whether rows need a `valid_loss`."""
        return self.rule == "plateau"

    def rate(self, curve: Sequence[Mapping[str, float]]) -> float:
        """The learning rate of the epoch that comes after those of the curve."""
        if self.rule == "constant":
            return self.lr
        if self.rule == "step":
            return self.lr * self.factor ** (len(curve) // self.every)
        return self.lr * self.factor ** self._plateaus(curve)

    def is_over(self, curve: Sequence[Mapping[str, float]]) -> bool:
        """Whether the rate has fallen below the least one."""
        return self.rule == "plateau" and self.rate(curve) < self.min_lr

    def _plateaus(self, curve: Sequence[Mapping[str, float]]) -> int:
        count, best, waited = 0, math.inf, 0
        for row in curve:
            if row["valid_loss"] < best * (1 - PROGRESS):
                best, waited = row["valid_loss"], 0
            else:
                waited += 1
            if waited > self.patience:
                count, waited = count + 1, 0
        return count
