"""When a run ends before its last epoch: the rules of papers, each a function of the curve alone.

Nothing is remembered between epochs, so that a resumed run stops where an uninterrupted one would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal


@dataclass(frozen=True)
class Stopping:
    """Whether a run ends after epoch t, counted from 0, with `patience` P; never where P is 0.

    patience: P epochs came after the best one.
    window: t > P and loss(t) > mean of loss(t-P), ..., loss(t-1), as in Kipf's code of GCN.
    late-window: the same for t >= max_epochs // 2, as in PyG's citation benchmark and DAGNN's code;
    there may be fewer than P epochs before.
    """

    rule: Literal["patience", "window", "late-window"]
    patience: int
    max_epochs: int

    @property
    def reads_loss(self) -> bool:
        """Whether rows need a `valid_loss`."""
        return self.patience > 0 and self.rule != "patience"

    def is_due(self, curve: Sequence[Mapping[str, float]], best_epoch: int | None) -> bool:
        """Whether the run is over after the epochs of the curve; none may be the best of them."""
        if len(curve) >= self.max_epochs:
            return True
        t = len(curve) - 1
        if self.patience == 0 or t < 0:
            return False
        if self.rule == "patience":
            return best_epoch is not None and t - best_epoch >= self.patience
        first = self.patience + 1 if self.rule == "window" else self.max_epochs // 2
        before = [row["valid_loss"] for row in curve[max(t - self.patience, 0) : t]]
        return t >= first and bool(before) and curve[t]["valid_loss"] > fmean(before)
