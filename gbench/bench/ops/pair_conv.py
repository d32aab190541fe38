"""Peers of `pair_conv`: the last layer of CKGConv's kernel MLP and the sum over all pairs.

    y_i = 1/n Σ_j (W p_ij) ⊙ x_j        p of 64 numbers for each pair of nodes, D = 64

The padded peer holds the same p padded to the longest graph, made outside the measurement; the
scattering one gathers a message for each pair. Bytes: p and ψ = W p once forward, and backward
each twice.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import Pairs, pair_conv
from gbench.kernels.pair_conv import reference

WIDTH = 64


def case(workload: Workload, dtype: torch.dtype = torch.float32) -> Case:
    """All pairs of the atoms of each molecule."""
    batch = workload.molecules
    pairs = Pairs.of(batch.node_ptr, batch.num_nodes)
    num_pairs = int(pairs.ptr[-1])
    device = batch.node_ptr.device
    p = normal(num_pairs, WIDTH, device=device, dtype=dtype)
    exact_p = p.double()
    values = {
        "W": normal(WIDTH, WIDTH, device=device, dtype=dtype),
        "x": normal(batch.num_nodes, WIDTH, device=device, dtype=dtype),
    }

    def ours(weight: Tensor, x: Tensor) -> Tensor:
        return pair_conv(pairs, p @ weight, x, mean=True)

    def exact(weight: Tensor, x: Tensor) -> Tensor:
        return reference(pairs, (p if weight.dtype == dtype else exact_p) @ weight, x, mean=True)

    def padded() -> Arm:
        sizes = batch.node_ptr.diff()
        longest, num_graphs = int(sizes.max()), sizes.numel()
        graph = batch.batch
        place = torch.arange(batch.num_nodes, device=device) - batch.node_ptr.long()[graph]
        rows = graph * longest + place
        receiver, sender = pairs.receivers(num_pairs), pairs.senders(num_pairs)
        dense = p.new_zeros(num_graphs * longest * longest, WIDTH)
        dense[rows[receiver] * longest + place[sender]] = p
        dense = dense.view(num_graphs, longest, longest, WIDTH)
        count = sizes[:, None, None].to(dtype)

        def call(weight: Tensor, x: Tensor) -> Tensor:
            wide = x.new_zeros(num_graphs * longest, WIDTH).index_copy(0, rows, x)
            message = dense @ weight * wide.view(num_graphs, 1, longest, WIDTH)
            return (message.sum(2) / count).flatten(0, 1).index_select(0, rows)

        return Arm.of(call, values)

    size = num_pairs * WIDTH * dtype.itemsize
    peers = {"padded": padded, "scattered": lambda: Arm.of(exact, values)}
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(ours, values, dtype),
        peers if dtype == torch.float32 else {},
        (3 * size, 8 * size),
        dtype,
    )


def _plan(workload: str, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(workload, f"D={WIDTH}{word(dtype)}", partial(case, dtype=dtype))


PLANS = (_plan("molhiv-32"),)
VARIANTS = (_plan("molhiv-32", torch.bfloat16), _plan("molhiv-512"))
