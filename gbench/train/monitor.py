"""Which of a run's epochs is the best: by the dataset's metric or by a loss, in validation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gbench.metrics import Direction


@dataclass(frozen=True)
class Monitor:
    """What "better" means.

    `of` is the metric; the loss that is trained on, without dropout; or the objective, which adds
    what weight decay stands for. Where two epochs are equal the earlier one counts, or the later
    one as in the code of He et al. (ICML 2023).
    """

    of: Literal["metric", "loss", "objective"]
    direction: Direction  # of the metric
    ties: Literal["earlier", "later"] = "earlier"

    def value(self, row: Mapping[str, float]) -> float:
        """What is compared of an epoch, a row of the curve."""
        return row["valid" if self.of == "metric" else "valid_loss"]

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a value beats the best so far; NaN never does."""
        if math.isnan(value):
            return False
        if best is None or value == best:
            return best is None or self.ties == "later"
        return value > best if self.of == "metric" and self.direction == "max" else value < best
