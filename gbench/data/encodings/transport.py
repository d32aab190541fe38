"""The exact cost of moving one distribution onto another: a transport problem in whole numbers.

Successive shortest paths with potentials (Ahuja, Magnanti and Orlin, "Network Flows", 1993, §9.7):
each augmentation goes from a place that has something left to the nearest that lacks something.

Legend: A places that give, B places that take.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gbench.kernels.cpu.rows import compiled

FAR = 1 << 60


@compiled
def cheapest(cost: Any, supply: Any, demand: Any) -> int:
    """The least Σ flow_ab cost_ab that moves all of `supply` (A,) onto `demand` (B,).

    Both have the same sum, which costs >= 0 (A, B); all are int64, and both are zero afterwards.
    """
    givers, takers = len(supply), len(demand)
    flow = np.zeros((givers, takers), np.int64)
    give, take = np.zeros(givers, np.int64), np.zeros(takers, np.int64)  # potentials
    far_give, far_take = np.empty(givers, np.int64), np.empty(takers, np.int64)
    done_give, done_take = np.empty(givers, np.bool_), np.empty(takers, np.bool_)
    from_take, from_give = np.empty(givers, np.int64), np.empty(takers, np.int64)
    left, total = supply.sum(), 0
    while left > 0:
        far_take[:] = FAR
        done_give[:] = False
        done_take[:] = False
        for a in range(givers):
            far_give[a] = 0 if supply[a] > 0 else FAR
            from_take[a] = -1
        end = -1
        while end < 0:
            nearest, at, is_giver = FAR, -1, False
            for a in range(givers):
                if not done_give[a] and far_give[a] < nearest:
                    nearest, at, is_giver = far_give[a], a, True
            for b in range(takers):
                if not done_take[b] and far_take[b] < nearest:
                    nearest, at, is_giver = far_take[b], b, False
            if is_giver:
                done_give[at] = True
                for b in range(takers):
                    far = nearest + cost[at, b] + give[at] - take[b]
                    if far < far_take[b]:
                        far_take[b], from_give[b] = far, at
                        # what ties ends the search: nothing nearer can follow
                        if far == nearest and demand[b] > 0:
                            end = b
                            break
            elif demand[at] > 0:
                end = at
            else:
                done_take[at] = True
                for a in range(givers):
                    if flow[a, at] > 0 and nearest < far_give[a]:
                        far_give[a], from_take[a] = nearest, at
        last = far_take[end]
        for a in range(givers):
            give[a] += min(far_give[a], last)
        for b in range(takers):
            take[b] += min(far_take[b], last)
        amount, b = demand[end], end
        while True:
            a = from_give[b]
            if from_take[a] < 0:
                amount = min(amount, supply[a])
                break
            b = from_take[a]
            amount = min(amount, flow[a, b])
        b = end
        while True:
            a = from_give[b]
            flow[a, b] += amount
            total += amount * cost[a, b]
            if from_take[a] < 0:
                supply[a] -= amount
                break
            b = from_take[a]
            flow[a, b] -= amount
            total -= amount * cost[a, b]
        demand[end] -= amount
        left -= amount
    return total
