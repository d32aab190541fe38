"""Peers of `sheaf_laplacian`: a layer's normalised Laplacian, with gradients for maps and x.

Bytes forward: per entry the rows of x that have to come from memory and its maps twice, y written.
Backward twice as much.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan
from gbench.bench.workloads import Workload
from gbench.kernels import sheaf_laplacian
from gbench.kernels.sheaf_laplacian import reference


def case(workload: Workload, stalk: int, width: int, is_diagonal: bool) -> Case:
    """Restriction maps of stalk × stalk, or of their diagonals alone."""
    graph, device = workload.graph, workload.graph.device
    shape = (graph.num_entries, stalk) if is_diagonal else (graph.num_entries, stalk, stalk)
    values = {
        "maps": torch.randn(shape, device=device),
        "x": torch.randn(graph.num_rows, stalk, width, device=device),
    }
    source, target, reverse = graph.col.long(), graph.row, graph.perm_t.long()
    eye = torch.eye(stalk, device=device)

    def exact(maps: Tensor, x: Tensor) -> Tensor:
        return reference(graph, maps.diag_embed() if is_diagonal else maps, x)

    def gathered(maps: Tensor, x: Tensor) -> Tensor:
        blocks = maps.new_zeros(graph.num_rows, stalk, stalk)
        blocks = blocks.index_add(0, target, torch.einsum("eji,ejk->eik", maps, maps))
        value, vector = torch.linalg.eigh(blocks + eye)
        root = torch.einsum("nij,nj,nkj->nik", vector, value.rsqrt(), vector)
        x = torch.einsum("nij,njf->nif", root, x)
        apart = torch.einsum("eij,ejf->eif", maps, x[target])
        apart = apart - torch.einsum("eij,ejf->eif", maps[reverse], x[source])
        sent = torch.einsum("eji,ejf->eif", maps, apart)
        return torch.einsum("nij,njf->nif", root, torch.zeros_like(x).index_add(0, target, sent))

    def gathered_diagonal(maps: Tensor, x: Tensor) -> Tensor:
        blocks = maps.new_zeros(graph.num_rows, stalk).index_add(0, target, maps * maps)
        root = (1 + blocks).rsqrt()[:, :, None]
        x = root * x
        wide = maps[:, :, None]
        apart = wide * x[target] - wide[reverse] * x[source]
        return root * torch.zeros_like(x).index_add(0, target, wide * apart)

    plain = gathered_diagonal if is_diagonal else gathered
    row, sizes = stalk * width * 4, values["maps"].nbytes
    forward = (workload.rows_read() + graph.num_rows) * row + 2 * sizes + 8 * graph.num_entries
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(lambda maps, x: sheaf_laplacian(graph, maps, x), values),
        {
            "gather, einsum, index_add": lambda: Arm.of(plain, values),
            "Inductor": lambda: peers.inductor(Arm.of(plain, values), device),
        },
        (forward, 3 * forward),
    )


def _plan(workload: str, stalk: int, width: int, is_diagonal: bool) -> Plan:
    detail = f"d={stalk} F={width} {'diagonal' if is_diagonal else 'full'}"
    build = partial(case, stalk=stalk, width=width, is_diagonal=is_diagonal)
    return Plan(workload, detail, build)


PLANS = (
    _plan("chameleon-sized", 3, 32, is_diagonal=False),
    _plan("chameleon-sized", 3, 32, is_diagonal=True),
    _plan("chameleon-sized", 5, 32, is_diagonal=False),
)
