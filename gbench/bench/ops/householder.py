"""Peers of `householder`: the orthogonal maps of a sheaf, one for each entry.

Bytes: the parameters read and the matrices written; backward reads the matrices' gradient as well.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal
from gbench.bench.workloads import Workload
from gbench.kernels.householder import householder, reference


def case(workload: Workload, stalk: int) -> Case:
    """Matrices of stalk × stalk."""
    graph, size = workload.graph, stalk * (stalk - 1) // 2
    parameters = normal(graph.num_entries, size, device=graph.device)

    def ours(parameters: Tensor) -> Tensor:
        return householder(parameters, stalk)

    def exact(parameters: Tensor) -> Tensor:
        return reference(parameters, stalk)

    matrices = 4 * graph.num_entries * stalk * stalk
    forward = parameters.nbytes + matrices
    both = 2 * forward + parameters.nbytes + matrices
    return plain.case(ours, exact, {"parameters": parameters}, (forward, both))


PLANS = (Plan("chameleon-sized", "d=3", partial(case, stalk=3)),)
VARIANTS = tuple(Plan("chameleon-sized", f"d={d}", partial(case, stalk=d)) for d in (2, 4, 5))
