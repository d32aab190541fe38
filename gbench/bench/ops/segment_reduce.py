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

from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import segment_reduce
from gbench.kernels.segment_reduce import reference


def case(workload: Workload, width: int, reduce: str, dtype: torch.dtype) -> Case:
    """One reduction of the nodes of each graph."""
    batch = workload.molecules
    ptr, index, num_graphs = batch.node_ptr, batch.batch, batch.num_graphs
    values = {"x": normal(batch.num_nodes, width, device=ptr.device, dtype=dtype)}

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

    size = width * dtype.itemsize
    read, written = batch.num_nodes * size, num_graphs * size
    found = {
        "PyG global pool": pyg,
        "torch.segment_reduce": torch_segment,
        "torch-scatter": torch_scatter,
    }
    forward = read + written
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(lambda x: segment_reduce(ptr, x, reduce), values, dtype),
        found if dtype == torch.float32 else {},
        (forward, 2 * forward + (forward if reduce == "max" else 0)),
        dtype,
    )


def _plan(width: int, reduce: str, dtype: torch.dtype = torch.float32) -> Plan:
    detail = f"D={width} {reduce}{word(dtype)}"
    return Plan("molhiv-512", detail, partial(case, width=width, reduce=reduce, dtype=dtype))


REDUCTIONS = ("sum", "mean", "max")
PLANS = tuple(_plan(300, reduce) for reduce in REDUCTIONS)
VARIANTS = (
    *(_plan(300, reduce, torch.bfloat16) for reduce in REDUCTIONS),
    *(_plan(width, "sum") for width in (7, 40, 64, 256)),
    _plan(7, "max"),
)
