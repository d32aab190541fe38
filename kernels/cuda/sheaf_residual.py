"""CUDA: one pass over the elements forward; backward each program sums a chunk of one channel.

The sums of the chunks are added in their order, by a second launch where there are several. The
kernels also are those of `sheaf_step`: they draw where they have a seed.
"""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.draws import dropped_in_order
from gbench.kernels.cuda.numerics import expm1, tanh
from gbench.kernels.cuda.rows import cdiv, kernel, launch, power_of_2
from gbench.kernels.dropout import KEY_SPAN

ELEMENTS = 512  # of one tile, a node's features beside the next one's
TILES = 8  # that one program walks before its sum is worth another launch
MAX_CHUNKS = 1024


def sheaf_residual(x: Tensor, step: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/sheaf_residual.py, with elu(step)."""
    return forward(x, step, epsilon, None, None, None, None, 0.0, False)


def sheaf_residual_backward(
    grad: Tensor, x: Tensor, epsilon: Tensor, elu: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/sheaf_residual.py."""
    return backward(grad, None, None, x, epsilon, elu, None, None, 0.0, False)


def forward(
    x: Tensor,
    step: Tensor,
    epsilon: Tensor,
    seed: Tensor | None,
    other_seed: Tensor | None,
    seen: Tensor | None,
    dropped: Tensor | None,
    rate: float,
    sums: bool,
) -> tuple[Tensor, Tensor]:
    """The result and elu(step); writes to `seen` and `dropped` where they are given."""
    x, step, epsilon = x.contiguous(), step.contiguous(), epsilon.contiguous()
    out, elu = x.new_empty(x.shape), x.new_empty(x.shape)
    if out.numel():
        draws = (seed, other_seed, seen, dropped)
        grid = (cdiv(x.size(0) * x.size(2), ELEMENTS),)
        launch(
            _forward, grid, x, step, epsilon, *draws, out, elu, x.size(0), **_sizes(x, rate, sums)
        )
    return out, elu


def backward(
    grad: Tensor | None,
    grad_seen: Tensor | None,
    grad_dropped: Tensor | None,
    x: Tensor,
    epsilon: Tensor,
    elu: Tensor,
    seed: Tensor | None,
    other_seed: Tensor | None,
    rate: float,
    sums: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """For x, step and epsilon, of the gradients that there are."""
    grad_x, grad_step = x.new_empty(x.shape), x.new_empty(x.shape)
    count, channels = x.size(0) * x.size(2), x.size(1)
    if not x.numel():
        return grad_x, grad_step, epsilon.new_zeros(epsilon.shape)
    tiles = cdiv(count, ELEMENTS)
    chunks = 1 if tiles <= TILES else min(MAX_CHUNKS, cdiv(tiles, TILES))
    grad_epsilon, epsilon = epsilon.new_empty(epsilon.shape), epsilon.contiguous()
    parts = grad_epsilon if chunks == 1 else epsilon.new_empty(chunks, channels)
    grads = [None if g is None else g.contiguous() for g in (grad, grad_seen, grad_dropped)]
    given = (x.contiguous(), *grads, epsilon, elu, seed, other_seed, grad_x, grad_step, parts)
    sizes = {**_sizes(x, rate, sums), "IS_WHOLE": chunks == 1}
    launch(_backward, (chunks, channels), *given, x.size(0), **sizes)
    if chunks > 1:
        sizes = {"CHANNELS": channels, "CHUNKS": power_of_2(chunks)}
        launch(_add, (channels,), parts, epsilon, grad_epsilon, chunks, **sizes)
    return grad_x, grad_step, grad_epsilon


def _sizes(x: Tensor, rate: float, sums: bool) -> dict[str, int | float | bool]:
    return {
        "CHANNELS": x.size(1),
        "WIDTH": x.size(2),
        "ELEMENTS": ELEMENTS,
        "RATE": rate,
        "LIMIT": int(rate * 2**32),
        "SPAN": KEY_SPAN,
        "SUMS": sums,
    }


@kernel
def _forward(
    x: tl.tensor,
    step: tl.tensor,
    epsilon: tl.tensor,
    seed: tl.tensor,
    other_seed: tl.tensor,
    seen: tl.tensor,
    dropped: tl.tensor,
    out: tl.tensor,
    elu: tl.tensor,
    num_nodes: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ELEMENTS: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
    SUMS: tl.constexpr,
) -> None:
    element = tl.program_id(0).to(tl.int64) * ELEMENTS + tl.arange(0, ELEMENTS)
    mask = element < num_nodes.to(tl.int64) * WIDTH
    start = element // WIDTH * (CHANNELS * WIDTH) + element % WIDTH
    total = tl.zeros([ELEMENTS], out.dtype.element_ty)
    for channel in range(CHANNELS):
        place = start + channel * WIDTH
        kept = 1 + tanh(tl.load(epsilon + channel))
        moved = tl.load(step + place, mask=mask, other=0.0)
        moved = tl.where(moved > 0, moved, expm1(tl.minimum(moved, 0.0)))
        y = kept * tl.load(x + place, mask=mask, other=0.0) - moved
        tl.store(elu + place, moved, mask=mask)
        tl.store(out + place, y, mask=mask)
        if other_seed is not None:
            tl.store(
                dropped + place,
                dropped_in_order(y, tl.load(other_seed), place, RATE, LIMIT, SPAN),
                mask=mask,
            )
        if seed is not None:
            y = dropped_in_order(y, tl.load(seed), place, RATE, LIMIT, SPAN)
            if SUMS:
                total += y
            else:
                tl.store(seen + place, y, mask=mask)
    if SUMS and seed is not None:
        tl.store(seen + element, total, mask=mask)


@kernel
def _backward(
    x: tl.tensor,
    grad: tl.tensor,
    grad_seen: tl.tensor,
    grad_dropped: tl.tensor,
    epsilon: tl.tensor,
    elu: tl.tensor,
    seed: tl.tensor,
    other_seed: tl.tensor,
    grad_x: tl.tensor,
    grad_step: tl.tensor,
    parts: tl.tensor,
    num_nodes: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ELEMENTS: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
    SUMS: tl.constexpr,
    IS_WHOLE: tl.constexpr,
) -> None:
    chunk, channel = tl.program_id(0), tl.program_id(1)
    count = num_nodes.to(tl.int64) * WIDTH
    share = tl.cdiv(tl.cdiv(count, ELEMENTS), tl.num_programs(0)) * ELEMENTS
    says = tanh(tl.load(epsilon + channel))
    total = tl.zeros([ELEMENTS], says.dtype)
    for first in range(chunk * share, tl.minimum((chunk + 1) * share, count), ELEMENTS):
        element = first + tl.arange(0, ELEMENTS)
        mask = element < count
        place = (element // WIDTH * CHANNELS + channel) * WIDTH + element % WIDTH
        slope = tl.zeros([ELEMENTS], says.dtype)
        if grad is not None:
            slope += tl.load(grad + place, mask=mask, other=0.0)
        if grad_dropped is not None:
            part = tl.load(grad_dropped + place, mask=mask, other=0.0)
            slope += dropped_in_order(part, tl.load(other_seed), place, RATE, LIMIT, SPAN)
        if grad_seen is not None:
            part = tl.load(grad_seen + (element if SUMS else place), mask=mask, other=0.0)
            slope += dropped_in_order(part, tl.load(seed), place, RATE, LIMIT, SPAN)
        moved = tl.load(elu + place, mask=mask, other=0.0)
        tl.store(grad_x + place, (1 + says) * slope, mask=mask)
        tl.store(grad_step + place, tl.where(moved > 0, -slope, -slope * (moved + 1)), mask=mask)
        total += slope * tl.load(x + place, mask=mask, other=0.0)
    mine = tl.sum(total, 0)
    if IS_WHOLE:
        tl.store(parts + channel, mine * (1 + says) * (1 - says))
    else:
        tl.store(parts + chunk * CHANNELS + channel, mine)


@kernel
def _add(
    parts: tl.tensor,
    epsilon: tl.tensor,
    grad_epsilon: tl.tensor,
    num_chunks: tl.tensor,
    CHANNELS: tl.constexpr,
    CHUNKS: tl.constexpr,
) -> None:
    channel, chunk = tl.program_id(0), tl.arange(0, CHUNKS)
    part = tl.load(parts + chunk * CHANNELS + channel, mask=chunk < num_chunks, other=0.0)
    says = tanh(tl.load(epsilon + channel))
    tl.store(grad_epsilon + channel, tl.sum(part, 0) * (1 + says) * (1 - says))
