"""CUDA: one pass over the elements forward; backward each program sums a chunk of one channel.

The sums of the chunks are added in their order, by a second launch where there are several.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.numerics import expm1, tanh
from gbench.kernels.cuda.rows import kernel, launch

ELEMENTS = 512  # of one tile, a node's features beside the next one's
TILES = 8  # that one program walks before its sum is worth another launch
MAX_CHUNKS = 1024


def sheaf_residual(x: Tensor, step: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/sheaf_residual.py, with elu(step)."""
    x, step = x.contiguous(), step.contiguous()
    out, elu = x.new_empty(x.shape), x.new_empty(x.shape)
    if out.numel():
        given = (x, step, epsilon.contiguous(), out, elu)
        grid = (triton.cdiv(x.size(0) * x.size(2), ELEMENTS), x.size(1))
        launch(_forward, grid, *given, x.size(0), **_sizes(x))
    return out, elu


def sheaf_residual_backward(
    grad: Tensor, x: Tensor, epsilon: Tensor, elu: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/sheaf_residual.py."""
    grad_x, grad_step = x.new_empty(x.shape), x.new_empty(x.shape)
    count, channels = x.size(0) * x.size(2), x.size(1)
    if not x.numel():
        return grad_x, grad_step, epsilon.new_zeros(epsilon.shape)
    tiles = triton.cdiv(count, ELEMENTS)
    chunks = 1 if tiles <= TILES else min(MAX_CHUNKS, triton.cdiv(tiles, TILES))
    grad_epsilon, epsilon = epsilon.new_empty(epsilon.shape), epsilon.contiguous()
    sums = grad_epsilon if chunks == 1 else epsilon.new_empty(chunks, channels)
    given = (grad.contiguous(), x.contiguous(), epsilon, elu, grad_x, grad_step, sums)
    sizes = {**_sizes(x), "IS_WHOLE": chunks == 1}
    launch(_backward, (chunks, channels), *given, x.size(0), **sizes)
    if chunks > 1:
        sizes = {"CHANNELS": channels, "CHUNKS": triton.next_power_of_2(chunks)}
        launch(_add, (channels,), sums, epsilon, grad_epsilon, chunks, **sizes)
    return grad_x, grad_step, grad_epsilon


def _sizes(x: Tensor) -> dict[str, int]:
    return {"CHANNELS": x.size(1), "WIDTH": x.size(2), "ELEMENTS": ELEMENTS}


@triton.jit
def _place(
    element: tl.tensor, channel: tl.tensor, CHANNELS: tl.constexpr, WIDTH: tl.constexpr
) -> tl.tensor:
    """Where the channel's elements stand, counted node by node."""
    node = element // WIDTH
    return (node.to(tl.int64) * CHANNELS + channel) * WIDTH + element % WIDTH


@kernel
def _forward(
    x: tl.tensor,
    step: tl.tensor,
    epsilon: tl.tensor,
    out: tl.tensor,
    elu: tl.tensor,
    num_nodes: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ELEMENTS: tl.constexpr,
) -> None:
    channel = tl.program_id(1)
    element = tl.program_id(0).to(tl.int64) * ELEMENTS + tl.arange(0, ELEMENTS)
    mask = element < num_nodes.to(tl.int64) * WIDTH
    place = _place(element, channel, CHANNELS, WIDTH)
    kept = 1 + tanh(tl.load(epsilon + channel))
    moved = tl.load(step + place, mask=mask, other=0.0)
    moved = tl.where(moved > 0, moved, expm1(tl.minimum(moved, 0.0)))
    tl.store(elu + place, moved, mask=mask)
    tl.store(out + place, kept * tl.load(x + place, mask=mask, other=0.0) - moved, mask=mask)


@kernel
def _backward(
    grad: tl.tensor,
    x: tl.tensor,
    epsilon: tl.tensor,
    elu: tl.tensor,
    grad_x: tl.tensor,
    grad_step: tl.tensor,
    sums: tl.tensor,
    num_nodes: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ELEMENTS: tl.constexpr,
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
        place = _place(element, channel, CHANNELS, WIDTH)
        slope = tl.load(grad + place, mask=mask, other=0.0)
        moved = tl.load(elu + place, mask=mask, other=0.0)
        tl.store(grad_x + place, (1 + says) * slope, mask=mask)
        tl.store(grad_step + place, tl.where(moved > 0, -slope, -slope * (moved + 1)), mask=mask)
        total += slope * tl.load(x + place, mask=mask, other=0.0)
    mine = tl.sum(total, 0)
    if IS_WHOLE:
        tl.store(sums + channel, mine * (1 + says) * (1 - says))
    else:
        tl.store(sums + chunk * CHANNELS + channel, mine)


@kernel
def _add(
    sums: tl.tensor,
    epsilon: tl.tensor,
    grad_epsilon: tl.tensor,
    num_chunks: tl.tensor,
    CHANNELS: tl.constexpr,
    CHUNKS: tl.constexpr,
) -> None:
    channel, chunk = tl.program_id(0), tl.arange(0, CHUNKS)
    parts = tl.load(sums + chunk * CHANNELS + channel, mask=chunk < num_chunks, other=0.0)
    says = tanh(tl.load(epsilon + channel))
    tl.store(grad_epsilon + channel, tl.sum(parts, 0) * (1 + says) * (1 - says))
