"""The one rule by which the seed of a run becomes the seed of one of its epochs."""

from __future__ import annotations


def epoch_seed(seed: int, epoch: int) -> int:
    """What an epoch is drawn with: of seed and epoch alone, so that a resumed run draws the same.

    Runs of different seeds share none, as long as they have at most 1,000,003 epochs.
    """
    return seed * 1_000_003 + epoch
