"""Peers of `sheaf_laplacian`: a layer's normalised Laplacian, with gradients for maps and x.

Bytes forward: per entry the rows of x that have to come from memory and its maps twice, y written.
Backward twice as much.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import sheaf_laplacian
from gbench.kernels.sheaf_laplacian import reference


def case(workload: Workload, stalk: int, width: int, is_diagonal: bool, dtype: torch.dtype) -> Case:
    """Restriction maps of stalk × stalk, or of their diagonals alone."""
    graph, device = workload.graph, workload.graph.device
    shape = (graph.num_entries, stalk) if is_diagonal else (graph.num_entries, stalk, stalk)
    values = {
        "maps": normal(*shape, device=device, dtype=dtype),
        "x": normal(graph.num_rows, stalk, width, device=device, dtype=dtype),
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
    found = {
        "gather, einsum, index_add": lambda: Arm.of(plain, values),
        "Inductor": lambda: peers.inductor(Arm.of(plain, values), device),
    }
    forward = _bytes(workload, values)
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(lambda maps, x: sheaf_laplacian(graph, maps, x), values, dtype),
        found if dtype == torch.float32 else {},
        (forward, 3 * forward),
        dtype,
    )


def scaled_case(workload: Workload, width: int, option: str, dtype: torch.dtype) -> Case:
    """Maps of 3 × 3 and a D that is a number for each node: a `degree`, or the sum of `weight`²."""
    graph, device = workload.graph, workload.graph.device
    values = {
        "maps": normal(graph.num_entries, 3, 3, device=device, dtype=dtype),
        "x": normal(graph.num_rows, 3, width, device=device, dtype=dtype),
    }
    if option == "weight":
        values["weight"] = normal(graph.num_entries, device=device, dtype=dtype)
    degree = graph.in_degree

    def exact(maps: Tensor, x: Tensor, weight: Tensor | None = None) -> Tensor:
        row, col = graph.row, graph.col.long()
        size = degree.to(x.dtype)
        if weight is not None:
            maps = maps * weight[:, None, None]
            size = torch.zeros_like(size).index_add(0, row, weight.square())
        root = (1 + size).rsqrt()[:, None, None]
        x = root * x
        apart = maps @ x[row] - maps[graph.perm_t.long()] @ x[col]
        return root * torch.zeros_like(x).index_add(0, row, maps.mT @ apart)

    def ours(maps: Tensor, x: Tensor, weight: Tensor | None = None) -> Tensor:
        if weight is not None:
            return sheaf_laplacian(graph, maps, x, weight=weight)
        return sheaf_laplacian(graph, maps, x, degree=degree.to(dtype))

    forward = _bytes(workload, values)
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(ours, values, dtype),
        {"torch operations": lambda: Arm.of(exact, values)} if dtype == torch.float32 else {},
        (forward, 3 * forward),
        dtype,
    )


def _bytes(workload: Workload, values: dict[str, Tensor]) -> int:
    graph, x = workload.graph, values["x"]
    rows = (workload.rows_read() + graph.num_rows) * x[0].nbytes
    return rows + 2 * values["maps"].nbytes + 8 * graph.num_entries


def _plan(
    workload: str, stalk: int, width: int, is_diagonal: bool, dtype: torch.dtype = torch.float32
) -> Plan:
    detail = f"d={stalk} F={width} {'diagonal' if is_diagonal else 'full'}{word(dtype)}"
    build = partial(case, stalk=stalk, width=width, is_diagonal=is_diagonal, dtype=dtype)
    return Plan(workload, detail, build)


def _scaled(option: str, dtype: torch.dtype = torch.float32) -> Plan:
    build = partial(scaled_case, width=32, option=option, dtype=dtype)
    return Plan("chameleon-sized", f"d=3 F=32 {option}{word(dtype)}", build)


PLANS = (
    _plan("chameleon-sized", 3, 32, is_diagonal=False),
    _plan("chameleon-sized", 3, 32, is_diagonal=True),
    _plan("chameleon-sized", 5, 32, is_diagonal=False),
)
VARIANTS = (
    _plan("chameleon-sized", 3, 32, is_diagonal=False, dtype=torch.bfloat16),
    _plan("chameleon-sized", 3, 32, is_diagonal=True, dtype=torch.bfloat16),
    *(_plan("chameleon-sized", 2, width, is_diagonal=True) for width in (7, 40, 64)),
    _plan("chameleon-sized", 1, 7, is_diagonal=False),
    *(_scaled(option) for option in ("degree", "weight")),
    *(_scaled(option, torch.bfloat16) for option in ("degree", "weight")),
)
