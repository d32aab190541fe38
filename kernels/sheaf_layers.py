"""All layers of sheaf diffusion in one operation: sheaves learned, their Laplacians, and the steps.

    F_ve = map(tanh(V [x̂_v ‖ x̂_u])),   w_e = σ(a · [x̂_v ‖ x̂_u]) σ(a · [x̂_u ‖ x̂_v])
    x_{t+1} = (1 + tanh ε) x_t - elu(Δ (I ⊗ W_1) x̃_t W_2ᵀ)       x̂_t = drop(x_t)    x̃_t = drop(x_t)

Δ is `sheaf_laplacian` of the maps F, which are diagonal, or Householder's products of reflections
times w. All of V, a, ε, W_1 and W_2 are a layer's own; the first looks at x_0 undropped. V of
P × 2F numbers takes the sum of a node's channels.

For small graphs on the CPU, where calls cost more than what they compute: four layers on 183 nodes
are 100 operations forward and backward, of which this leaves two. Else, and on CUDA, a composition
stands in, of which each part is shared among threads, or launched, by itself.

Gradients: those of the parts. Of each layer maps, Δ's blocks and six arrays as large as x are kept.

Bytes moved, float32, by each layer: N·C·F·60 and E·d²·16 forward, three times that backward.

Legend: L layers, N nodes, E entries, C channels, all learned, F features, P parameters of a map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR
from gbench.kernels.dropout import dropout
from gbench.kernels.householder import householder
from gbench.kernels.pair_tanh import pair_tanh
from gbench.kernels.pair_weight import pair_weight
from gbench.kernels.seeds import BELOW
from gbench.kernels.sheaf_laplacian import check_symmetric, sheaf_laplacian
from gbench.kernels.sheaf_mix import sheaf_mix
from gbench.kernels.sheaf_residual import sheaf_residual
from gbench.kernels.sheaf_step import sheaf_step

LARGEST = 1 << 20  # of what `work` counts: beyond it the parts have threads to share


def reference(
    graph: CSR,
    x: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    *,
    is_diagonal: bool,
    by_degree: bool,
    draw: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The specification, with `draw` for dropout."""
    from gbench.kernels.householder import reference as householder
    from gbench.kernels.pair_tanh import reference as pair_tanh
    from gbench.kernels.pair_weight import reference as pair_weight
    from gbench.kernels.sheaf_mix import reference as mix
    from gbench.kernels.sheaf_residual import reference as residual

    row, col, stalk = graph.row, graph.col.long(), x.size(1)
    for layer, numbers in enumerate(of_maps):
        seen = draw(x) if draw and layer else x
        sent = draw(x) if draw else x
        ends = seen.flatten(1) if numbers.size(1) == 2 * stalk * x.size(2) else seen.sum(1)
        maps = pair_tanh(graph, ends @ numbers.view(-1, ends.size(1)).t())
        maps = maps.diag_embed() if is_diagonal else householder(maps, stalk)
        if of_weights is not None:
            said = seen.flatten(1) @ of_weights[layer].view(2, -1).t()
            maps = maps * pair_weight(graph, said)[:, None, None]
        own = x.new_zeros(len(x), stalk, stalk).index_add(0, row, maps.mT @ maps)
        size = graph.in_degree.to(x)[:, None] if by_degree else own.diagonal(dim1=1, dim2=2)
        root = (1 + size).rsqrt()[:, :, None]
        signal = root * mix(sent, left[layer], right[layer])
        apart = maps @ signal[row] - maps[graph.perm_t.long()] @ signal[col]
        step = root * torch.zeros_like(x).index_add(0, row, maps.mT @ apart)
        x = residual(x, step, epsilon[layer])
    return x


def fits(graph: CSR, x: Tensor) -> bool:
    """Whether the operation is the faster way. Shapes: x (N, C, F)."""
    if not (x.is_cpu and x.dtype in library.FULL):
        return False
    _, channels, width = x.shape
    work = x.numel() * (channels + width) + graph.num_entries * channels * channels * width
    return work <= LARGEST


@library.operation("x", library.FULL)
def sheaf_layers(
    graph: CSR,
    x: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    *,
    is_diagonal: bool,
    by_degree: bool,
    rate: float = 0.0,
) -> Tensor:
    """The state after all layers, each with its own parameters; dropout at `rate`.

    `by_degree` has D = (1 + degree) I; of maps that are not diagonal that is so without of_weights.

    Shapes: x (N, C, F), of_maps (L, P, 2 C F) or (L, P, 2 F), of_weights (L, 1, 2 C F), left
    (L, C, C), right (L, F, F), epsilon (L, C, 1) → (N, C, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype, on a graph that has an edge in
    one direction only, and on of_weights beside diagonal maps or by_degree.
    """
    check.square(graph)
    check_symmetric(graph)
    check.features("x", x.flatten(1), graph.num_rows, graph.device)
    _, channels, width = x.shape
    layers, ends = len(left), of_maps.size(-1)
    numbers = channels if is_diagonal else channels * (channels - 1) // 2
    whole = 2 * channels * width
    check.beside("of_maps", of_maps, (layers, numbers, whole if ends == whole else 2 * width), x)
    check.beside("left", left, (layers, channels, channels), x)
    check.beside("right", right, (layers, width, width), x)
    check.beside("epsilon", epsilon, (layers, channels, 1), x)
    if of_weights is not None:
        check.beside("of_weights", of_weights, (layers, 1, whole), x)
        if is_diagonal or by_degree:
            raise ValueError("of_weights goes with Householder's maps alone, and has D follow")
    values = (x, of_maps, of_weights, left, right, epsilon)
    if not library.has_kernel("sheaf_layers", x):
        return _composed(graph, *values, rate, is_diagonal, by_degree)
    seed = torch.randint(BELOW, (2 * layers - 1,), device=x.device) if rate else None
    out: Tensor
    out, _ = _LAYERS(
        graph.rowptr, graph.col, graph.perm_t, *values, seed, rate, is_diagonal, by_degree
    )
    return out


def _composed(
    graph: CSR,
    x: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    rate: float,
    is_diagonal: bool,
    by_degree: bool,
) -> Tensor:
    """The same by the operations of a layer's parts."""
    seen, sent = x, dropout(x, rate) if rate else x
    degree = graph.in_degree.to(x.dtype) if by_degree else None
    for layer, numbers in enumerate(of_maps):
        whole = seen.flatten(1)
        ends = whole if numbers.size(1) == 2 * whole.size(1) else seen.sum(1)
        maps = pair_tanh(graph, ends @ numbers.view(-1, ends.size(1)).t())
        maps = maps if is_diagonal else householder(maps, x.size(1))
        weight = None
        if of_weights is not None:
            weight = pair_weight(graph, whole @ of_weights[layer].view(2, -1).t())
        signal = sheaf_mix(sent, left[layer], right[layer])
        step = sheaf_laplacian(graph, maps, signal, degree=degree, weight=weight)
        if rate and layer + 1 < len(of_maps):
            x, looked, sent = sheaf_step(x, step, epsilon[layer], rate)
            seen = x if looked is None else looked
        else:
            x = seen = sent = sheaf_residual(x, step, epsilon[layer])
    return x


def kept_shape(x: Tensor, entries: int, of_maps: Tensor, is_diagonal: bool) -> tuple[int, int]:
    """How many numbers forward leaves to backward: those of each layer."""
    nodes, channels, width = x.shape
    of_map, roots = (channels, channels) if is_diagonal else (channels * channels, 1)
    of_nodes = nodes * (6 * channels * width + 2 * roots)
    return of_maps.size(0), of_nodes + entries * (of_maps.size(1) + 2 * of_map + 2)


def _fake(
    rowptr: Tensor, col: Tensor, reverse: Tensor, x: Tensor, of_maps: Tensor, *others: Any
) -> tuple[Tensor, Tensor]:
    *_, is_diagonal, _ = others
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    return out, x.new_empty(kept_shape(x, col.size(0), of_maps, is_diagonal))


_GIVEN = (
    "Tensor rowptr, Tensor col, Tensor reverse, Tensor x, Tensor of_maps, Tensor? of_weights, "
    "Tensor left, Tensor right, Tensor epsilon, Tensor? seed"
)
_FLAGS = "float rate, bool is_diagonal, bool by_degree"

_LAYERS = library.define(
    f"sheaf_layers({_GIVEN}, {_FLAGS}) -> (Tensor, Tensor)", _fake, types=library.FULL
)


def _fake_backward(grad: Tensor, *given: Any) -> tuple[Tensor, ...]:
    x, of_maps, of_weights, left, right, epsilon = given[3:9]
    weights = of_maps[:, :0] if of_weights is None else of_weights
    of = (x, of_maps, weights, left, right, epsilon)
    return tuple(torch.empty_like(part, memory_format=torch.contiguous_format) for part in of)


_BACKWARD = library.define(
    f"sheaf_layers_backward(Tensor grad, {_GIVEN}, Tensor kept, {_FLAGS}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _fake_backward,
    types=library.FULL,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.rate, ctx.is_diagonal, ctx.by_degree = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*tensors, output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
    flags = (ctx.rate, ctx.is_diagonal, ctx.by_degree)
    found = _BACKWARD(grad, *ctx.saved_tensors, *flags)
    needs = ctx.needs_input_grad[3:9]
    wanted = (grad if need else None for grad, need in zip(found, needs, strict=True))
    return None, None, None, *wanted, None, None, None, None


library.differentiate("sheaf_layers", _save, _backward)
