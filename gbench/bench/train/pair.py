"""What every comparison of two trainings can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor

from gbench.bench.case import Mismatch

TOLERANCE = 1e-4  # of the largest logit


class Trained(NamedTuple):
    """What both sides reach on the test split after the same training."""

    ours: float
    theirs: float
    metric: str
    how: str  # for how long and on what


class Pair(Protocol):
    """gbench beside another way to train the same model, known to compute the same."""

    other: str
    unit: str  # what the seconds are of

    def by_turns(self) -> tuple[float, float]:
        """Seconds per unit, ours first, from one stretch of work each."""

    def finished(self, is_quick: bool) -> Trained:
        """The metrics of both after a whole training, or a short one."""


class Comparison(NamedTuple):
    """A pair that can be built where its dataset's files are; raises Mismatch if it is none."""

    data: str
    build: Callable[[], Pair]


def check_same(wanted: Tensor, found: Tensor) -> None:
    """Raise Mismatch unless both models, with the same weights, say the same of the same inputs."""
    error, size = float((found - wanted).abs().max()), float(wanted.abs().max())
    if not error <= TOLERANCE * size:
        raise Mismatch(f"logits are off by {error:.2g}, allowed {TOLERANCE * size:.2g}")
