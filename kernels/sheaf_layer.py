"""A layer of sheaf diffusion in one operation: its sheaf learned, its Laplacian, and its step.

    F_ve = map(tanh(V [x̂_v ‖ x̂_u])),   w_e = σ(a · [x̂_v ‖ x̂_u]) σ(a · [x̂_u ‖ x̂_v])
    y = (1 + tanh ε) x - elu(Δ (I ⊗ W_1) x̃ W_2ᵀ)          seen = drop(y)     sent = drop(y)

Δ is `sheaf_laplacian` of the maps F, which are diagonal, or Householder's products of reflections
times w; x̂ is what the layer before it left to look at, x̃ what it sent, both under dropout. V of
P × 2F numbers takes the sum of a node's channels.

For small graphs on the CPU, where calls cost more than what they compute: an epoch of four layers
on 183 nodes is 100 operations forward and backward that take 3 ms, of which this leaves 8. Else
the composition of its parts, of which each is shared among threads, or launched, by itself.

Gradients: those of the parts; kept are the maps, Δ's blocks, and three matrices as large as x.

Bytes moved, float32: N·C·F·60 and E·d²·16 forward, three times that backward.

Legend: N nodes, E entries, C channels, all of them learned, F features, P parameters of a map.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR
from gbench.kernels.householder import reference as householder
from gbench.kernels.pair_tanh import reference as pair_tanh
from gbench.kernels.pair_weight import reference as pair_weight
from gbench.kernels.seeds import seed_on
from gbench.kernels.sheaf_mix import reference as sheaf_mix
from gbench.kernels.sheaf_residual import reference as sheaf_residual

LARGEST = 1 << 20  # of what `work` counts: beyond it the parts have threads to share


def reference(
    graph: CSR,
    x: Tensor,
    seen: Tensor,
    sent: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    *,
    is_diagonal: bool,
    by_degree: bool,
) -> Tensor:
    """The specification of y."""
    row, col, stalk = graph.row, graph.col.long(), x.size(1)
    ends = seen.flatten(1) if of_maps.size(1) == 2 * x[0].numel() else seen.sum(1)
    maps = pair_tanh(graph, ends @ of_maps.view(-1, ends.size(1)).t())
    maps = maps.diag_embed() if is_diagonal else householder(maps, stalk)
    if of_weights is not None:
        ends = seen.flatten(1)
        said = pair_weight(graph, ends @ of_weights.view(2, -1).t())
        maps = maps * said[:, None, None]
    own = torch.zeros_like(x[:, :, :1] * x[:, None, :, 0]).index_add(0, row, maps.mT @ maps)
    size = graph.in_degree.to(x)[:, None] if by_degree else own.diagonal(dim1=1, dim2=2)
    root = (1 + size).rsqrt()[:, :, None]
    signal = root * sheaf_mix(sent, left, right)
    apart = maps @ signal[row] - maps[graph.perm_t.long()] @ signal[col]
    step = root * torch.zeros_like(x).index_add(0, row, maps.mT @ apart)
    return sheaf_residual(x, step, epsilon)


def fits(graph: CSR, x: Tensor) -> bool:
    """Whether the operation is the faster way. Shapes: x (N, C, F)."""
    if not (x.is_cpu and x.dtype in library.FULL):
        return False
    _, channels, width = x.shape
    work = x.numel() * (channels + width) + graph.num_entries * channels * channels * width
    return work <= LARGEST


@library.operation("x", library.FULL)
def sheaf_layer(
    graph: CSR,
    x: Tensor,
    seen: Tensor,
    sent: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    *,
    rate: float,
    is_diagonal: bool,
    by_degree: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The next state, and two of it under dropout, which at a rate of 0 are the state itself.

    Shapes: x, seen and sent (N, C, F), of_maps (P, 2 C F) or (P, 2 F), of_weights (1, 2 C F),
    left (C, C), right (F, F), epsilon (C, 1) → three times (N, C, F).
    Raises ValueError on a wrong shape or device.
    """
    check.square(graph)
    nodes, channels, width = x.shape
    check.features("x", x.flatten(1), graph.num_rows, graph.device)
    numbers = channels if is_diagonal else channels * (channels - 1) // 2
    wide = channels * width if of_maps.size(1) == 2 * channels * width else width
    check.beside("of_maps", of_maps, (numbers, 2 * wide), x)
    for name, part in (("seen", seen), ("sent", sent)):
        check.beside(name, part, (nodes, channels, width), x)
    check.beside("left", left, (channels, channels), x)
    check.beside("right", right, (width, width), x)
    check.beside("epsilon", epsilon, (channels, 1), x)
    if of_weights is not None:
        check.beside("of_weights", of_weights, (1, 2 * channels * width), x)
    seeds = (seed_on(x.device), seed_on(x.device)) if rate else (None, None)
    ends = (graph.rowptr, graph.col, graph.perm_t)
    values = (x, seen, sent, of_maps, of_weights, left, right, epsilon)
    out, *drawn, _ = _LAYER(*ends, *values, *seeds, rate, is_diagonal, by_degree)
    next_seen, next_sent = drawn if rate else (out, out)
    return out, next_seen, next_sent


def kept_numbers(x: Tensor, entries: int, parameters: int, is_diagonal: bool) -> int:
    """How many numbers forward leaves to backward. Shapes: x (N, C, F)."""
    nodes, channels, width = x.shape
    of_map, roots = (channels, channels) if is_diagonal else (channels * channels, 1)
    of_nodes = nodes * (3 * channels * width + 2 * roots)
    return of_nodes + entries * (parameters + 2 * of_map + 2)


def _fake(
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    x: Tensor,
    seen: Tensor,
    sent: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    seed: Tensor | None,
    other_seed: Tensor | None,
    rate: float,
    is_diagonal: bool,
    by_degree: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    drawn = [x.new_empty(0) if seed is None else torch.empty_like(out) for _ in range(2)]
    kept = x.new_empty(kept_numbers(x, col.size(0), of_maps.size(0), is_diagonal))
    return out, drawn[0], drawn[1], kept


_VALUES = (
    "Tensor seen, Tensor sent, Tensor of_maps, Tensor? of_weights, Tensor left, Tensor right, "
    "Tensor epsilon, Tensor? seed, Tensor? other_seed"
)
_FLAGS = "float rate, bool is_diagonal, bool by_degree"

_LAYER = library.define(
    f"sheaf_layer(Tensor rowptr, Tensor col, Tensor reverse, Tensor x, {_VALUES}, {_FLAGS}) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
    _fake,
    types=library.FULL,
)


def _fake_backward(
    x: Tensor,
    grad: Tensor | None,
    grad_seen: Tensor | None,
    grad_sent: Tensor | None,
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    seen: Tensor,
    sent: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    seed: Tensor | None,
    other_seed: Tensor | None,
    kept: Tensor,
    rate: float,
    is_diagonal: bool,
    by_degree: bool,
) -> tuple[Tensor, ...]:
    weights = of_maps[:0] if of_weights is None else of_weights
    given = (x, seen, sent, of_maps, weights, left, right, epsilon)
    return tuple(torch.empty_like(part, memory_format=torch.contiguous_format) for part in given)


_BACKWARD = library.define(
    "sheaf_layer_backward(Tensor x, Tensor? grad, Tensor? grad_seen, Tensor? grad_sent, "
    f"Tensor rowptr, Tensor col, Tensor reverse, {_VALUES}, Tensor kept, {_FLAGS}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _fake_backward,
    types=library.FULL,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.rate, ctx.is_diagonal, ctx.by_degree = inputs
    ctx.mark_non_differentiable(*output[1 if tensors[-1] is None else 3 :])
    ctx.save_for_backward(*tensors, output[3])


def _backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
    rowptr, col, reverse, x, *saved = ctx.saved_tensors
    flags = (ctx.rate, ctx.is_diagonal, ctx.by_degree)
    found = _BACKWARD(x, *grads[:3], rowptr, col, reverse, *saved, *flags)
    needs = ctx.needs_input_grad[3:11]
    wanted = (grad if need else None for grad, need in zip(found, needs, strict=True))
    return None, None, None, *wanted, None, None, None, None, None


library.differentiate("sheaf_layer", _save, _backward)
