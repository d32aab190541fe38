"""Which points are worth their cost: the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal


def front(
    costs: Sequence[float], values: Sequence[float], direction: Literal["max", "min"]
) -> set[int]:
    """Positions of the points that no other point beats.

    A point is beaten by one that costs no more and is no worse, and is better in one of the two;
    equal points do not beat each other. A point whose cost or value is NaN does not count.
    """
    sign = -1.0 if direction == "max" else 1.0
    points = sorted(
        (cost, sign * value, position)
        for position, (cost, value) in enumerate(zip(costs, values, strict=True))
        if not (math.isnan(cost) or math.isnan(value))
    )
    kept: set[int] = set()
    last = (math.nan, math.inf)
    for cost, loss, position in points:
        if loss < last[1] or (cost, loss) == last:
            kept.add(position)
            last = cost, loss
    return kept
