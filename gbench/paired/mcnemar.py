"""McNemar's test: whether one model is right more often than another on the same items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Table(NamedTuple):
    """On how many items both are right, only A, only B, and neither."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def p(self) -> float:
        """The exact two-sided p of A and B being right equally often: see `exact`."""
        return exact(self.only_a, self.only_b)


def table(right_a: Array, right_b: Array) -> Table:
    """Count one pair of runs. Shapes: (T,), (T,) bool."""
    counts = np.bincount(2 * right_a.astype(int) + right_b.astype(int), minlength=4)
    neither, only_b, only_a, both = counts.tolist()
    return Table(both, only_a, only_b, neither)


def summed(tables: Sequence[Table]) -> Table:
    """The tables of several pairs in one."""
    return Table(*(sum(cells) for cells in zip(*tables, strict=True)))


def exact(only_a: int, only_b: int) -> float:
    """The two-sided p: min(1, 2 P(X ≤ min(only_a, only_b))), X heads of only_a + only_b tosses.

    McNemar, Psychometrika 12, 1947, by its exact distribution: items that both have right, or
    wrong, say nothing; of the others each is as likely A's as B's if the models are equally good.
    """
    from scipy.stats import binom

    return float(min(1.0, 2 * binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))


def by_item(items: Sequence[Array], right_a: Sequence[Array], right_b: Sequence[Array]) -> Table:
    """Several pairs of runs, each item counted once, however many pairs were tested on it.

    An item is A's where A is right on it in more of the pairs than B, and B's where in fewer; of
    the others it is told whether either is ever right. Runs of several seeds answer the same items,
    so that their summed table has fewer independent answers than it counts, and a test of it finds
    differences that are none. For one pair this is its own table.

    Shapes: of each pair (T_p,) int64 positions, (T_p,) bool, (T_p,) bool.
    """
    _, place = np.unique(np.concatenate(items), return_inverse=True)
    a = np.bincount(place, np.concatenate(right_a))
    b = np.bincount(place, np.concatenate(right_b))
    tie = a == b
    return Table(
        int((tie & (a > 0)).sum()),
        int((a > b).sum()),
        int((a < b).sum()),
        int((tie & (a == 0)).sum()),
    )
