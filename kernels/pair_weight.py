"""One weight for both ends of each edge of an undirected graph, from what its nodes say.

    w_e = σ(a_v + b_u) σ(a_u + b_v)        for the entry e = (v, u) and for its reverse (u, v)

Gradient, with the sums over a node's entries (v, u) and r the reverse of e:
    ā_v = Σ_e (w̄_e + w̄_r) w_e (1 - σ(a_v + b_u))      b̄_v = Σ_e (w̄_e + w̄_r) w_e (1 - σ(a_u + b_v))

Bytes moved, float32: E·16 forward, E·28 backward. As tensor operations it is a dozen of them.

Legend: N nodes, E entries.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR


def reference(graph: CSR, z: Tensor) -> Tensor:
    """The specification, z = [a | b]."""
    (a, b), v, u = z.unbind(1), graph.row, graph.col.long()
    return (a[v] + b[u]).sigmoid() * (a[u] + b[v]).sigmoid()


@library.operation("z")
def pair_weight(graph: CSR, z: Tensor) -> Tensor:
    """The edges' weights, the same in both directions.

    Shapes: z (N, 2) → (E,).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    check.square(graph)
    check.features("z", z, graph.num_rows, graph.device)
    if z.size(1) != 2:
        raise ValueError(f"z has shape {tuple(z.shape)}: it should be ({graph.num_rows}, 2)")
    if not library.has_kernel("pair_weight", z):
        return reference(graph, z)
    out: Tensor
    out, _ = _PAIR_WEIGHT(graph.rowptr, graph.col, graph.perm_t, graph.bound, z)
    return out


def _fake(
    rowptr: Tensor, col: Tensor, reverse: Tensor, longest: int, z: Tensor
) -> tuple[Tensor, Tensor]:
    return z.new_empty(col.size(0)), z.new_empty(col.size(0))


_PAIR_WEIGHT = library.define(
    "pair_weight(Tensor rowptr, Tensor col, Tensor reverse, int longest, Tensor z) "
    "-> (Tensor, Tensor)",
    _fake,
)


def _fake_backward(
    grad: Tensor, rowptr: Tensor, reverse: Tensor, longest: int, out: Tensor, there: Tensor
) -> Tensor:
    return grad.new_empty(rowptr.size(0) - 1, 2)


_BACKWARD = library.define(
    "pair_weight_backward(Tensor grad, Tensor rowptr, Tensor reverse, int longest, "
    "Tensor out, Tensor there) -> Tensor",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    rowptr, _, reverse, ctx.longest, _ = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(rowptr, reverse, *output)


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
    rowptr, reverse, *values = ctx.saved_tensors
    return None, None, None, None, _BACKWARD(grad, rowptr, reverse, ctx.longest, *values)


library.differentiate("pair_weight", _save, _backward)
