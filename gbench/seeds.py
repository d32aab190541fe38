"""The one rule by which the seed of a run becomes the seed of one of its epochs or trials."""

from __future__ import annotations


def nth_seed(seed: int, number: int) -> int:
    """What epoch (or trial) `number` is drawn with. A resumed run draws the same.

    Runs of different seeds share none, as long as they have at most 1,000,003 epochs.
    """
    return seed * 1_000_003 + number
