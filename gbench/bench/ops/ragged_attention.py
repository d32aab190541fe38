"""Peers of `ragged_attention`: attention on a dense batch, padded to the largest graph.

Bytes forward: q, k and v read, y written; a graph's own stay in cache. Backward reads them and the
output with its gradient twice, and writes three gradients.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import ragged_attention
from gbench.kernels.ragged_attention import reference

NODES = 40  # of a graph that is cut from one large one


def case(workload: Workload, heads: int, width: int, dtype: torch.dtype = torch.float32) -> Case:
    """Heads of this width over a batch of molecules, or over stretches of one graph's nodes."""
    nodes, device = workload.graph.num_rows, workload.graph.device
    if workload.batch is not None:
        ptr = workload.batch.node_ptr
    else:
        ptr = torch.arange(0, nodes + NODES, NODES, dtype=torch.int32).clamp(max=nodes).to(device)
    shape = (nodes, heads, width)
    values = {name: normal(*shape, device=device, dtype=dtype) for name in ("q", "k", "v")}

    def padded() -> Arm:
        to_dense: Any = import_module("torch_geometric.utils").to_dense_batch
        sizes = ptr.diff()
        graph = torch.arange(len(sizes), device=device).repeat_interleave(sizes)

        def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            dense = [to_dense(x.flatten(1), graph, batch_size=len(sizes)) for x in (q, k, v)]
            mask = dense[0][1]
            a, b, c = (x.unflatten(2, (heads, width)).transpose(1, 2) for x, _ in dense)
            out = scaled_dot_product_attention(a, b, c, attn_mask=mask[:, None, None])
            attended: Tensor = out.transpose(1, 2)[mask]
            return attended

        return Arm.of(call, values)

    forward = 4 * nodes * heads * width * dtype.itemsize
    return Case(
        Arm.of(partial(reference, ptr), values, torch.float64),
        Arm.of(partial(ragged_attention, ptr), values, dtype),
        {"torch, padded": padded} if dtype == torch.float32 else {},
        (forward, 4 * forward),
        dtype,
    )


def _plan(workload: str, heads: int, width: int, dtype: torch.dtype = torch.float32) -> Plan:
    build = partial(case, heads=heads, width=width, dtype=dtype)
    return Plan(workload, f"H={heads} D={width}{word(dtype)}", build)


PLANS = (_plan("molhiv-32", 4, 16), _plan("molhiv-512", 4, 16))
VARIANTS = (
    _plan("molhiv-32", 4, 24, torch.bfloat16),
    _plan("molhiv-32", 1, 64),
    _plan("cora-sized", 2, 7),
)
