"""The normalised Laplacian of a cellular sheaf, applied to a signal.

    y = D^-1/2 L D^-1/2 x,   (L x)_v = Σ_{e∋v} F_veᵀ (F_ve x_v - F_ue x_u),   D_v = I + Σ F_veᵀ F_ve

(Bodnar et al., NeurIPS 2022, whose code adds the I). Each edge {v, u} is two entries of the graph;
the entry in row v holds F_ve, the one in row u holds F_ue. Maps are diagonal (E, d) or full
(E, d, d); orthogonal maps are full ones. D^-1/2 is elementwise or `inverse_sqrt`; it is a number
per node where D_v is known to be (1 + degree_v) I: degree = Σ w² for orthogonal maps times w.

Gradients of L, which is symmetric, with z̄ the output's: x̄ = L z̄ and
    F̄_ve = F_ve (z̄_v x_vᵀ + x_v z̄_vᵀ) - F_ue (x_u z̄_vᵀ + z̄_u x_vᵀ)
The last bracket is one d × d matrix per edge, for the other end transposed. Nothing of size
E × d × F is stored.

Bytes moved by L, float32: E·d·F·4 gathered + 2·N·d·F·4 + E·d²·8; its backward twice as much.

Legend: N nodes, E entries, d stalk dimension (S in shapes), F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR
from gbench.kernels.inverse_sqrt import inverse_sqrt
from gbench.kernels.normal_maps import normal_maps
from gbench.kernels.scaled_sheaf_laplacian import scaled_sheaf_laplacian
from gbench.kernels.segment_reduce import segment_reduce
from gbench.kernels.sheaf_blocks import sheaf_blocks


def reference(graph: CSR, maps: Tensor, x: Tensor) -> Tensor:
    """The specification, for full maps: the dense matrix of each entry, gathered and scattered."""
    other_ESS = maps[graph.perm_t.long()]
    blocks_NSS = maps.new_zeros(graph.num_rows, *maps.shape[1:])
    blocks_NSS = blocks_NSS.index_add(0, graph.row, maps.mT @ maps)
    value, vector = torch.linalg.eigh(blocks_NSS + torch.eye(maps.size(1)).to(maps))
    root_NSS = vector @ (value.rsqrt()[:, :, None] * vector.mT)
    x = root_NSS @ x
    sent_ESF = maps.mT @ (other_ESS @ x[graph.col])
    out: Tensor = root_NSS @ (blocks_NSS @ x).index_add(0, graph.row, sent_ESF, alpha=-1)
    return out


@library.operation("x")
def sheaf_laplacian(
    graph: CSR,
    maps: Tensor,
    x: Tensor,
    *,
    degree: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Apply the normalised sheaf Laplacian of the restriction maps to x.

    `weight` multiplies full maps that are orthogonal, so that D_v = (1 + Σ w²) I.

    Shapes: maps (E, S) diagonal or (E, S, S), in the order of graph.col; degree (N,) in place of
    the blocks of D; weight (E,); x (N, S, F) → (N, S, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype, and on a graph that has an
    edge in one direction only.
    """
    check.square(graph)
    if x.dim() != 3:
        raise ValueError(f"x has shape {tuple(x.shape)}: it should be ({graph.num_rows}, S, F)")
    check.features("x", x.flatten(1), graph.num_rows, graph.device)
    if maps.dim() not in (2, 3):
        raise ValueError(f"maps has shape {tuple(maps.shape)}: pass (E, S) or (E, S, S)")
    check.beside("maps", maps, (graph.num_entries, *(x.size(1),) * (maps.dim() - 1)), x)
    check_symmetric(graph)
    if degree is not None:
        check.beside("degree", degree, (graph.num_rows,), x)
    if weight is not None:
        check.beside("weight", weight, (graph.num_entries,), x)
        if degree is not None or maps.dim() == 2:
            raise ValueError("weight goes with full maps alone, and has D follow: pass no degree")
    wide = library.wide(x.dtype)  # the roots are never rounded to bfloat16
    if maps.dim() == 3 and degree is None and weight is None:
        if library.has_kernel("normal_maps", x):
            return _laplacian(graph, normal_maps(graph, maps), x)
        blocks = sheaf_blocks(graph, maps)
        root = inverse_sqrt(blocks + torch.eye(maps.size(1), dtype=wide, device=x.device))
        hidden = _laplacian(graph, maps, (root @ x.to(wide)).to(x.dtype))
        return (root @ hidden.to(wide)).to(x.dtype)
    if library.has_kernel("scaled_sheaf_laplacian", x):
        out: Tensor
        ends = (graph.rowptr, graph.col, graph.perm_t, graph.bound)
        out, _ = scaled_sheaf_laplacian(*ends, maps, x, weight, degree)
        return out
    if weight is not None:
        maps = maps * weight[:, None, None]
        size = segment_reduce(graph.rowptr, weight.to(wide).square()[:, None])[:, :, None]
    elif degree is None:
        size = segment_reduce(graph.rowptr, maps.to(wide).square())[:, :, None]
    else:
        size = degree.to(wide)[:, None, None]
    root = (1 + size).rsqrt()
    return (root * _laplacian(graph, maps, (root * x).to(x.dtype))).to(x.dtype)


def check_symmetric(graph: CSR) -> None:
    """Rows and columns hold the same lists exactly when every edge runs both ways."""
    if graph.undirected or graph.col.is_cuda or torch.compiler.is_compiling():
        return
    if not (torch.equal(graph.rowptr, graph.rowptr_t) and torch.equal(graph.col, graph.col_t)):
        raise ValueError("a sheaf needs an undirected graph: give every edge in both directions")


def _laplacian(graph: CSR, maps: Tensor, x: Tensor) -> Tensor:
    """L x, unnormalised."""
    if not library.has_kernel("sheaf_laplacian", x):
        full = maps if maps.dim() == 3 else maps.diag_embed()
        apart = full @ x[graph.row] - full[graph.perm_t.long()] @ x[graph.col]
        return torch.zeros_like(x).index_add(0, graph.row, full.mT @ apart)
    out: Tensor = _LAPLACIAN(graph.rowptr, graph.col, graph.perm_t, graph.bound, maps, x)
    return out


def _fake(
    rowptr: Tensor, col: Tensor, reverse: Tensor, longest: int, maps: Tensor, x: Tensor
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_LAPLACIAN = library.define(
    "sheaf_laplacian(Tensor rowptr, Tensor col, Tensor reverse, int longest, Tensor maps, "
    "Tensor x) -> Tensor",
    _fake,
)


def _fake_backward(
    grad: Tensor,
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    longest: int,
    maps: Tensor,
    x: Tensor,
) -> tuple[Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return torch.empty_like(maps, memory_format=torch.contiguous_format), like


_BACKWARD = library.define(
    "sheaf_laplacian_backward(Tensor grad, Tensor rowptr, Tensor col, Tensor reverse, int longest, "
    "Tensor maps, Tensor x) -> (Tensor, Tensor)",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *ends, ctx.longest, maps, x = inputs
    ctx.save_for_backward(*ends, maps, x)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    *ends, maps, x = ctx.saved_tensors
    graph, (needs_maps, needs_x) = (*ends, ctx.longest), ctx.needs_input_grad[4:]
    if needs_maps:
        grad_maps, grad_x = _BACKWARD(grad, *graph, maps, x)
    else:
        grad_maps, grad_x = None, _LAPLACIAN(*graph, maps, grad) if needs_x else None
    return None, None, None, None, grad_maps, grad_x


library.differentiate("sheaf_laplacian", _save, _backward)
