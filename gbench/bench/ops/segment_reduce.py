"""Peers of `segment_reduce`: the readout of a batch of molecules.

Bytes forward: x read, one row per graph written. Backward the reverse; for the maximum x is read
once more.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from gbench.bench.case import Arm, Case, Plan
from gbench.bench.workloads import Workload
from gbench.kernels import segment_reduce
from gbench.kernels.segment_reduce import reference


def case(workload: Workload, width: int, reduce: str) -> Case:
    """One reduction of the nodes of each graph."""
    batch = workload.molecules
    ptr, index, num_graphs = batch.node_ptr, batch.batch, batch.num_graphs
    values = {"x": torch.randn(batch.num_nodes, width, device=ptr.device)}

    def pyg() -> Arm:
        nn: Any = import_module("torch_geometric.nn")
        pool = getattr(nn, f"global_{ {'sum': 'add'}.get(reduce, reduce) }_pool")
        return Arm.of(lambda x: pool(x, index, num_graphs), values)

    def torch_segment() -> Arm:
        lengths = ptr.diff().long()
        return Arm.of(lambda x: torch.segment_reduce(x, reduce, lengths=lengths), values)

    def torch_scatter() -> Arm:
        segment: Any = import_module("torch_scatter").segment_csr
        long_ptr = ptr.long()
        return Arm.of(lambda x: segment(x, long_ptr, reduce=reduce), values)

    def exact(x: Tensor) -> Tensor:
        return reference(ptr, x, reduce)

    read, written = batch.num_nodes * width * 4, num_graphs * width * 4
    forward = read + written
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(lambda x: segment_reduce(ptr, x, reduce), values),
        {
            "PyG global pool": pyg,
            "torch.segment_reduce": torch_segment,
            "torch-scatter": torch_scatter,
        },
        (forward, 2 * forward + (forward if reduce == "max" else 0)),
    )


PLANS = tuple(
    Plan("molhiv-512", f"D=300 {reduce}", partial(case, width=300, reduce=reduce))
    for reduce in ("sum", "mean", "max")
)
