"""Propagate features K times, going back to the first ones by a share α in each step.

    Z_0 = x,    Z_{k+1} = (1 - α) S Z_k + α h,    y = Z_K,    S = D^-1/2 (A + I) D^-1/2

(APPNP, Gasteiger et al., ICLR 2019, where h = x; with K = 1 the propagation of a layer of GCNII,
Chen et al., ICML 2020.) D_ii = 1 + number of in-neighbours of i; as in gcn_propagate no weight
exists per entry, and here a hop adds its share of h where it writes.

Gradients: where h = x, y is a polynomial in S of x, and x̄ the same one in Sᵀ of ȳ: the same K hops
over the transpose, with the same D. Elsewhere x̄ = ((1 - α) Sᵀ)^K ȳ, and h̄ what that lacks of the
former. Nothing is kept.

Bytes moved per hop, float32: E·F·4 gathered + about 4·N·F·4 + E·4 of indices. Extra memory beside
the result: on the CPU two panels N × P per thread, P = 8, 16 or 32; on CUDA one N × F.

Legend: N nodes, E entries, F features, K hops.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph
from gbench.kernels.gcn_propagate import reference as propagate


def reference(
    graph: CSR, x: Tensor, alpha: float, hops: int = 1, *, home: Tensor | None = None
) -> Tensor:
    """The specification: propagate, add a share of what stands at home."""
    home = x if home is None else home
    for _ in range(hops):
        x = (1 - alpha) * propagate(graph, x) + alpha * home
    return x


@library.operation("x")
def teleport_propagate(
    graph: CSR, x: Tensor, alpha: float, hops: int = 1, *, home: Tensor | None = None
) -> Tensor:
    """Average with the in-neighbours and return to `home` (None: to x) by a share, `hops` times.

    One self-loop is added to each node, besides those that the graph has.

    Shapes: x (N, F), home (N, F) → (N, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype, on negative hops and for an
    alpha outside 0 to 1.
    """
    check.square(graph)
    check.features("x", x, graph.num_rows, graph.device)
    if home is not None:
        check.beside("home", home, tuple(x.shape), x)
    if hops < 0:
        raise ValueError(f"hops={hops}: pass 0 or more")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha}: pass a share from 0 to 1")
    if hops == 0:
        return x
    if not library.has_kernel("teleport_propagate", x):
        return reference(graph, x, alpha, hops, home=home)
    out: Tensor = _TELEPORT(graph.arrays, graph.bound, x, home, alpha, hops)
    return out


def _fake(
    graph: Graph, longest: int, x: Tensor, home: Tensor | None, alpha: float, hops: int
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_TELEPORT = library.define(
    "teleport_propagate(Tensor[] graph, int longest, Tensor x, Tensor? home, float alpha, "
    "int hops) -> Tensor",
    _fake,
)


def _fake_backward(
    grad: Tensor, graph: Graph, longest: int, alpha: float, hops: int, returns: bool
) -> Tensor:
    return torch.empty_like(grad, memory_format=torch.contiguous_format)


_BACKWARD = library.define(
    "teleport_propagate_backward(Tensor grad, Tensor[] graph, int longest, float alpha, int hops, "
    "bool returns) -> Tensor",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.graph, ctx.longest, _, home, ctx.alpha, ctx.hops = inputs
    ctx.returns = home is None


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    needs_x, needs_home = ctx.needs_input_grad[2:4]
    given = (grad, ctx.graph, ctx.longest, ctx.alpha, ctx.hops)
    grad_x = grad_home = None
    if needs_x or (needs_home and ctx.hops > 1):
        grad_x = _BACKWARD(*given, ctx.returns)
    if needs_home:
        grad_home = ctx.alpha * grad if ctx.hops == 1 else _BACKWARD(*given, True) - grad_x
    return None, None, grad_x if needs_x else None, grad_home, None, None


library.differentiate("teleport_propagate", _save, _backward)
