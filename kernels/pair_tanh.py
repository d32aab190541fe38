"""What both ends of each entry say together: tanh of a sum.

    y_ep = tanh(z_v,2p + z_u,2p+1)        for the entry e = (v, u): row v, column u

Column 2p of z is what a node says as the row of an entry, column 2p + 1 as its column, so that
z = X Wᵀ with the P × 2D weights of [x_v ‖ x_u], viewed as 2P × D, and no E × 2D matrix exists.

Gradient: each node sums ȳ (1 - y²) over its own entries, and over those that have it as a column.

Bytes moved, float32: E·P·12 forward, E·P·16 backward.

Legend: N nodes, E entries, P numbers.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR


def reference(graph: CSR, z: Tensor) -> Tensor:
    """The specification: two gathers."""
    own, other = z[:, ::2], z[:, 1::2]
    return (own[graph.row] + other[graph.col.long()]).tanh()


@library.operation("z")
def pair_tanh(graph: CSR, z: Tensor) -> Tensor:
    """Take tanh of the sum of what each entry's two ends say.

    Shapes: z (N, 2 P) → (E, P).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    check.square(graph)
    check.features("z", z, graph.num_rows, graph.device)
    if not library.has_kernel("pair_tanh", z):
        return reference(graph, z)
    out: Tensor = _PAIR_TANH(graph.rowptr, graph.col, graph.rowptr_t, graph.perm_t, graph.bound, z)
    return out


def _fake(
    rowptr: Tensor, col: Tensor, rowptr_t: Tensor, perm_t: Tensor, longest: int, z: Tensor
) -> Tensor:
    return z.new_empty(col.size(0), z.size(1) // 2)


_PAIR_TANH = library.define(
    "pair_tanh(Tensor rowptr, Tensor col, Tensor rowptr_t, Tensor perm_t, int longest, Tensor z) "
    "-> Tensor",
    _fake,
)


def _fake_backward(
    grad: Tensor, rowptr: Tensor, rowptr_t: Tensor, perm_t: Tensor, longest: int, out: Tensor
) -> Tensor:
    return grad.new_empty(rowptr.size(0) - 1, 2 * grad.size(1))


_BACKWARD = library.define(
    "pair_tanh_backward(Tensor grad, Tensor rowptr, Tensor rowptr_t, Tensor perm_t, "
    "int longest, Tensor out) -> Tensor",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    rowptr, _, rowptr_t, perm_t, ctx.longest, _ = inputs
    ctx.save_for_backward(rowptr, rowptr_t, perm_t, output)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    *graph, out = ctx.saved_tensors
    return None, None, None, None, None, _BACKWARD(grad, *graph, ctx.longest, out)


library.differentiate("pair_tanh", _save, _backward)
