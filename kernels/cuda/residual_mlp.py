"""CUDA: one launch forward, two backward; between the two layers nothing is written to memory.

A program holds all of the width that is mixed and LANES of what is not, and walks the hidden units
BLOCK by BLOCK: a block's values are computed, used and forgotten, and computed again in backward.
There the first launch has programs of two kinds: some make a tile's gradient, others a block's
gradients of the weights from a part of the tiles. The second launch adds the parts in their order
and, where the norm is over what a tile has only a part of, brings the gradient through it.

Products are those of tensor cores: float32 as three products of TF32 parts, which keeps float32's
digits, or as one where torch may round its own products so (trainer.matmul).

Legend: K the width that is mixed, L lanes: what is not, H hidden units, D features of the norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.draws import dropped, row_key
from gbench.kernels.cuda.rows import cdiv, kernel, launch, power_of_2
from gbench.kernels.dropout import KEY_SPAN

LANES = 16  # of a tile: the height of a tensor core's product
BLOCK = 32  # hidden units at a time
SPLITS = 32  # parts that the weights' gradients are summed in: × 16 blocks of 512 hidden units
PART = 128  # elements whose parts a program adds, ROWS parts at a time
ROWS = 16
NO_SEEDS = (None, None, None)  # where nothing is dropped


class Tiles(NamedTuple):
    """How x is cut: K × LANES tiles of each group of rows (across), or of all rows."""

    mixed: int
    hidden: int
    groups: int
    blocks: int  # of lanes in each group
    splits: int
    flags: dict[str, Any]

    @property
    def number(self) -> int:
        """Tiles."""
        return self.groups * self.blocks

    @property
    def hidden_blocks(self) -> int:
        """Blocks of hidden units."""
        return cdiv(self.hidden, BLOCK)


def residual_mlp(
    seeds: Sequence[Tensor],
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    weight_out: Tensor,
    bias_out: Tensor,
    across: bool,
    relu: bool,
    rates: Sequence[float],
    eps: float,
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/residual_mlp.py."""
    x = x.contiguous()
    weight, weight_out = weight.contiguous(), weight_out.contiguous()
    out = x.new_empty(x.shape)
    stats = scale.new_empty(2, x.numel() // x.size(-1))
    tiles = _tiles(x, weight, across, relu, rates)
    if x.numel():
        launch(
            _forward,
            (tiles.number,),
            *(x, scale, shift, weight, bias, weight_out, bias_out),
            *(*(seeds or NO_SEEDS), out, stats, stats.size(1), tiles.blocks),
            EPS=eps,
            # whole factors of 128 columns would take more shared memory than smaller GPUs have
            **{**tiles.flags, "BLOCK": BLOCK if tiles.flags["MIXED"] <= 64 else BLOCK // 2},
        )
    return out, stats


def residual_mlp_backward(
    grad: Tensor,
    seeds: Sequence[Tensor],
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    weight_out: Tensor,
    bias_out: Tensor,
    stats: Tensor,
    across: bool,
    relu: bool,
    rates: Sequence[float],
) -> tuple[Tensor, ...]:
    """The gradients of gbench/kernels/residual_mlp.py."""
    grad, x = grad.contiguous(), x.contiguous()
    weight, weight_out = weight.contiguous(), weight_out.contiguous()
    parameters = (scale, shift, weight, bias, weight_out, bias_out)
    tiles = _tiles(x, weight, across, relu, rates)
    grad_x = x.new_empty(x.shape)
    if not x.numel():
        return grad_x, *(torch.zeros_like(parameter) for parameter in parameters)
    grads = [torch.empty_like(parameter) for parameter in parameters]
    sizes = 2 * weight.numel() + bias.numel() + bias_out.numel()
    parts = weight.new_empty(tiles.splits, sizes)
    of_norm = scale.new_empty(tiles.groups if across else tiles.number, 2 * x.size(-1))
    inner = scale.new_empty(x.shape) if across else grad_x
    rows = stats.size(1)
    launch(
        _backward,
        (tiles.number + tiles.hidden_blocks * tiles.splits,),
        *(grad, x, *parameters, *(seeds or NO_SEEDS), stats, inner, of_norm, parts),
        *(rows, tiles.blocks, tiles.number, tiles.splits),
        **tiles.flags,
    )
    adding = cdiv(sizes + 2 * x.size(-1), PART)
    tall = 4
    launch(
        _finish,
        (adding + (cdiv(rows, tall) if across else 0),),
        *(grad, x, scale, stats, inner, of_norm, parts, grad_x, *grads),
        *(rows, tiles.splits, of_norm.size(0), adding),
        K=tiles.mixed,
        H=tiles.hidden,
        D=x.size(-1),
        FULL=power_of_2(x.size(-1)),
        TALL=tall,
        PART=PART,
        ROWS=ROWS,
    )
    return grad_x, *grads


def _tiles(x: Tensor, weight: Tensor, across: bool, relu: bool, rates: Sequence[float]) -> Tiles:
    hidden, mixed = weight.shape
    width, rows = x.size(-1), x.numel() // x.size(-1)
    padded = max(16, power_of_2(mixed))
    groups, spread = (x.size(0), width) if across else (1, rows)
    blocks = cdiv(spread, LANES)
    exact = torch.get_float32_matmul_precision() == "highest"
    flags: dict[str, Any] = {
        "ACROSS": across,
        "RELU": relu,
        "K": mixed,
        "H": hidden,
        "D": width,
        "MIXED": padded,
        "FULL": max(16, power_of_2(width)),
        "LANES": LANES,
        "BLOCK": BLOCK,
        "CHUNK": 16 if padded <= 64 else 32,
        "SPAN": KEY_SPAN,
        "PRECISION": "tf32x3" if exact else "tf32",
        "num_warps": 8 if padded > 64 or any(rates) else 4,
    }
    for name, rate in zip(("IN", "INNER", "OUT"), rates, strict=True):
        flags |= {f"RATE_{name}": rate, f"LIMIT_{name}": int(rate * 2**32)}
    return Tiles(mixed, hidden, groups, blocks, min(SPLITS, groups * blocks), flags)


@triton.jit
def _dropped(
    value: tl.tensor,
    seed: tl.tensor,
    lane: tl.tensor,
    feature: tl.tensor,
    WIDTH: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
) -> tl.tensor:
    """Dropout of a tile of a matrix of lanes × WIDTH."""
    if RATE > 0:
        place = lane.to(tl.int64)[:, None] * WIDTH + feature[None, :]
        key = row_key(tl.load(seed), place // SPAN)
        value = dropped(value, key, (place % SPAN).to(tl.int32), RATE, LIMIT)
    return value


@triton.jit
def _places(
    group: tl.tensor,
    lane: tl.tensor,
    mixed: tl.tensor,
    num_rows: tl.tensor,
    ACROSS: tl.constexpr,
    K: tl.constexpr,
    D: tl.constexpr,
) -> tl.tensor:
    """The places of a (lanes, mixed) tile, which of them exist, and the lanes among all groups'."""
    if ACROSS:
        here = (lane < D)[:, None] & (mixed < K)[None, :]
        place = (group.to(tl.int64) * K + mixed)[None, :] * D + lane[:, None]
        among = group.to(tl.int64) * D + lane
    else:
        here = (lane < num_rows)[:, None] & (mixed < K)[None, :]
        place = lane.to(tl.int64)[:, None] * K + mixed[None, :]
        among = lane.to(tl.int64)
    return place, here, among


@triton.jit
def _normed(
    x: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    mean: tl.tensor,
    inverse: tl.tensor,
    mixed: tl.tensor,
    lane: tl.tensor,
    here: tl.tensor,
    ACROSS: tl.constexpr,
    D: tl.constexpr,
) -> tl.tensor:
    """The normalised tile, the same scaled and shifted, and the scale; zero beyond the edges."""
    if ACROSS:
        feature = lane
        hat = (x - mean[None, :]) * inverse[None, :]
    else:
        feature = mixed
        hat = (x - mean[:, None]) * inverse[:, None]
    factor = tl.load(scale + feature, mask=feature < D, other=0.0)
    offset = tl.load(shift + feature, mask=feature < D, other=0.0)
    if ACROSS:
        y = hat * factor[:, None] + offset[:, None]
    else:
        y = hat * factor[None, :] + offset[None, :]
    return tl.where(here, hat, 0.0), tl.where(here, y, 0.0), factor


@triton.jit
def _ends(
    grad: tl.tensor,
    x: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    stats: tl.tensor,
    seed_in: tl.tensor,
    seed_out: tl.tensor,
    group: tl.tensor,
    lane: tl.tensor,
    mixed: tl.tensor,
    num_rows: tl.tensor,
    ACROSS: tl.constexpr,
    K: tl.constexpr,
    D: tl.constexpr,
    SPAN: tl.constexpr,
    RATE_IN: tl.constexpr,
    LIMIT_IN: tl.constexpr,
    RATE_OUT: tl.constexpr,
    LIMIT_OUT: tl.constexpr,
) -> tl.tensor:
    """What entered the first layer, the second's gradient, and what _normed gives beside it."""
    place, here, among = _places(group, lane, mixed, num_rows, ACROSS, K, D)
    own = tl.load(x + place, mask=here, other=0.0).to(tl.float32)
    if ACROSS:
        row, real = group.to(tl.int64) * K + mixed, mixed < K
    else:
        row, real = lane.to(tl.int64), lane < num_rows
    mean = tl.load(stats + row, mask=real, other=0.0)
    inverse = tl.load(stats + num_rows + row, mask=real, other=0.0)
    hat, y, factor = _normed(own, scale, shift, mean, inverse, mixed, lane, here, ACROSS, D)
    y = _dropped(y, seed_in, among, mixed, K, RATE_IN, LIMIT_IN, SPAN)
    arrives = tl.load(grad + place, mask=here, other=0.0).to(tl.float32)
    arrives = _dropped(arrives, seed_out, among, mixed, K, RATE_OUT, LIMIT_OUT, SPAN)
    return y, arrives, hat, factor, inverse


@triton.jit
def _product(a: tl.tensor, b: tl.tensor, like: tl.tensor, PRECISION: tl.constexpr) -> tl.tensor:
    kind = like.dtype.element_ty
    if kind == tl.float32:
        out = tl.dot(a, b, input_precision=PRECISION)
    else:
        out = tl.dot(a.to(kind), b.to(kind))
    return out


@triton.jit
def _weights(
    weight: tl.tensor,
    weight_out: tl.tensor,
    unit: tl.tensor,
    mixed: tl.tensor,
    K: tl.constexpr,
    H: tl.constexpr,
) -> tl.tensor:
    """A block's weights of the first layer (units, mixed), and of the second (mixed, units)."""
    there = (unit < H)[:, None] & (mixed < K)[None, :]
    w = tl.load(weight + unit[:, None] * K + mixed[None, :], mask=there, other=0.0)
    there = (mixed < K)[:, None] & (unit < H)[None, :]
    return w, tl.load(weight_out + mixed[:, None] * H + unit[None, :], mask=there, other=0.0)


@kernel
def _forward(
    x: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    weight_out: tl.tensor,
    bias_out: tl.tensor,
    seed_in: tl.tensor,
    seed_inner: tl.tensor,
    seed_out: tl.tensor,
    out: tl.tensor,
    stats: tl.tensor,
    num_rows: tl.tensor,
    num_blocks: tl.tensor,
    EPS: tl.constexpr,
    ACROSS: tl.constexpr,
    RELU: tl.constexpr,
    K: tl.constexpr,
    H: tl.constexpr,
    D: tl.constexpr,
    MIXED: tl.constexpr,
    FULL: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    SPAN: tl.constexpr,
    PRECISION: tl.constexpr,
    RATE_IN: tl.constexpr,
    LIMIT_IN: tl.constexpr,
    RATE_INNER: tl.constexpr,
    LIMIT_INNER: tl.constexpr,
    RATE_OUT: tl.constexpr,
    LIMIT_OUT: tl.constexpr,
) -> None:
    tile, group = tl.program_id(0) % num_blocks, tl.program_id(0) // num_blocks
    lane, mixed = tile * LANES + tl.arange(0, LANES), tl.arange(0, MIXED)
    place, here, among = _places(group, lane, mixed, num_rows, ACROSS, K, D)
    own = tl.load(x + place, mask=here, other=0.0).to(tl.float32)
    if ACROSS:
        row = group.to(tl.int64) * K + mixed
        feature = tl.arange(0, FULL)
        inside = (mixed < K)[:, None] & (feature < D)[None, :]
        whole = tl.load(x + row[:, None] * D + feature[None, :], mask=inside, other=0.0)
        whole = whole.to(tl.float32)
        mean = tl.sum(whole, 1) / D
        apart = tl.where(inside, whole - mean[:, None], 0.0)
        inverse = 1.0 / tl.sqrt(tl.sum(apart * apart, 1) / D + EPS)
        writes = (mixed < K) & (tile == 0)
    else:
        row = lane.to(tl.int64)
        mean = tl.sum(own, 1) / D
        apart = tl.where(here, own - mean[:, None], 0.0)
        inverse = 1.0 / tl.sqrt(tl.sum(apart * apart, 1) / D + EPS)
        writes = lane < num_rows
    tl.store(stats + row, mean, mask=writes)
    tl.store(stats + num_rows + row, inverse, mask=writes)
    _hat, y, _factor = _normed(own, scale, shift, mean, inverse, mixed, lane, here, ACROSS, D)
    y = _dropped(y, seed_in, among, mixed, K, RATE_IN, LIMIT_IN, SPAN)
    total = tl.zeros([LANES, MIXED], tl.float32)
    for start in range(0, H, BLOCK):
        unit = start + tl.arange(0, BLOCK)
        w, back = _weights(weight, weight_out, unit, mixed, K, H)
        z = _product(y, tl.trans(w), x, PRECISION)
        z += tl.load(bias + unit, mask=unit < H, other=0.0)[None, :]
        if RELU:
            a = tl.where(z <= 0, 0.0, z)
        else:
            below = 0.5 * (1.0 + tl.erf(z * 0.7071067811865476))
            a = z * below
        a = _dropped(a, seed_inner, among, unit, H, RATE_INNER, LIMIT_INNER, SPAN)
        total += _product(a, tl.trans(back), x, PRECISION)
    total += tl.load(bias_out + mixed, mask=mixed < K, other=0.0)[None, :]
    total = _dropped(total, seed_out, among, mixed, K, RATE_OUT, LIMIT_OUT, SPAN)
    tl.store(out + place, (own + total).to(out.dtype.element_ty), mask=here)


@triton.jit
def _block(
    grad: tl.tensor,
    x: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    weight_out: tl.tensor,
    seed_in: tl.tensor,
    seed_inner: tl.tensor,
    seed_out: tl.tensor,
    stats: tl.tensor,
    group: tl.tensor,
    lane: tl.tensor,
    among: tl.tensor,
    unit: tl.tensor,
    num_rows: tl.tensor,
    ACROSS: tl.constexpr,
    RELU: tl.constexpr,
    K: tl.constexpr,
    H: tl.constexpr,
    D: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    SPAN: tl.constexpr,
    PRECISION: tl.constexpr,
    RATE_IN: tl.constexpr,
    LIMIT_IN: tl.constexpr,
    RATE_INNER: tl.constexpr,
    LIMIT_INNER: tl.constexpr,
    RATE_OUT: tl.constexpr,
    LIMIT_OUT: tl.constexpr,
) -> tl.tensor:
    """Of a block of units what leaves them, and the gradient of what enters: (lanes, units).

    CHUNK by CHUNK of what is mixed: factors of 128 columns would not fit in the registers.
    """
    z = tl.zeros([LANES, BLOCK], tl.float32)
    enters = tl.zeros([LANES, BLOCK], tl.float32)
    for start in range(0, K, CHUNK):
        mixed = start + tl.arange(0, CHUNK)
        y, arrives, _hat, _factor, _inverse = _ends(
            grad, x, scale, shift, stats, seed_in, seed_out, group, lane, mixed, num_rows,
            ACROSS, K, D, SPAN, RATE_IN, LIMIT_IN, RATE_OUT, LIMIT_OUT,
        )  # fmt: skip
        w, back = _weights(weight, weight_out, unit, mixed, K, H)
        z += _product(y, tl.trans(w), x, PRECISION)
        enters += _product(arrives, back, x, PRECISION)
    z += tl.load(bias + unit, mask=unit < H, other=0.0)[None, :]
    enters = _dropped(enters, seed_inner, among, unit, H, RATE_INNER, LIMIT_INNER, SPAN)
    if RELU:
        a = tl.where(z <= 0, 0.0, z)
        enters = tl.where(z <= 0, 0.0, enters)
    else:
        below = 0.5 * (1.0 + tl.erf(z * 0.7071067811865476))
        a = z * below
        enters *= below + z * tl.exp(-0.5 * z * z) * 0.3989422804014327
    a = _dropped(a, seed_inner, among, unit, H, RATE_INNER, LIMIT_INNER, SPAN)
    return a, enters


@kernel
def _backward(
    grad: tl.tensor,
    x: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    weight_out: tl.tensor,
    bias_out: tl.tensor,
    seed_in: tl.tensor,
    seed_inner: tl.tensor,
    seed_out: tl.tensor,
    stats: tl.tensor,
    inner: tl.tensor,
    of_norm: tl.tensor,
    parts: tl.tensor,
    num_rows: tl.tensor,
    num_blocks: tl.tensor,
    num_tiles: tl.tensor,
    num_splits: tl.tensor,
    ACROSS: tl.constexpr,
    RELU: tl.constexpr,
    K: tl.constexpr,
    H: tl.constexpr,
    D: tl.constexpr,
    MIXED: tl.constexpr,
    FULL: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    SPAN: tl.constexpr,
    PRECISION: tl.constexpr,
    RATE_IN: tl.constexpr,
    LIMIT_IN: tl.constexpr,
    RATE_INNER: tl.constexpr,
    LIMIT_INNER: tl.constexpr,
    RATE_OUT: tl.constexpr,
    LIMIT_OUT: tl.constexpr,
) -> None:
    program = tl.program_id(0)
    mixed = tl.arange(0, MIXED)
    if program < num_tiles:
        tile, group = program % num_blocks, program // num_blocks
        lane = tile * LANES + tl.arange(0, LANES)
        place, here, among = _places(group, lane, mixed, num_rows, ACROSS, K, D)
        total = tl.zeros([LANES, MIXED], tl.float32)
        for start in range(0, H, BLOCK):
            unit = start + tl.arange(0, BLOCK)
            a, enters = _block(
                grad, x, scale, shift, weight, bias, weight_out, seed_in, seed_inner, seed_out,
                stats, group, lane, among, unit, num_rows,
                ACROSS, RELU, K, H, D, LANES, BLOCK, CHUNK, SPAN, PRECISION,
                RATE_IN, LIMIT_IN, RATE_INNER, LIMIT_INNER, RATE_OUT, LIMIT_OUT,
            )  # fmt: skip
            w, _back = _weights(weight, weight_out, unit, mixed, K, H)
            total += _product(enters, w, x, PRECISION)
        total = _dropped(total, seed_in, among, mixed, K, RATE_IN, LIMIT_IN, SPAN)
        y, arrives, hat, factor, inverse = _ends(
            grad, x, scale, shift, stats, seed_in, seed_out, group, lane, mixed, num_rows,
            ACROSS, K, D, SPAN, RATE_IN, LIMIT_IN, RATE_OUT, LIMIT_OUT,
        )  # fmt: skip
        if ACROSS:
            at = of_norm + group.to(tl.int64) * 2 * D + lane
            tl.store(at, tl.sum(total * hat, 1), mask=lane < D)
            tl.store(at + D, tl.sum(total, 1), mask=lane < D)
            tl.store(inner + place, total, mask=here)
        else:
            at = of_norm + program.to(tl.int64) * 2 * D + mixed
            tl.store(at, tl.sum(total * hat, 0), mask=mixed < K)
            tl.store(at + D, tl.sum(total, 0), mask=mixed < K)
            total *= factor[None, :]
            along = tl.sum(total * hat, 1) / D
            total -= tl.sum(total, 1)[:, None] / D + hat * along[:, None]
            total *= inverse[:, None]
            total += tl.load(grad + place, mask=here, other=0.0).to(tl.float32)
            tl.store(inner + place, total.to(inner.dtype.element_ty), mask=here)
    else:
        worker = program - num_tiles
        split = worker % num_splits
        unit = worker // num_splits * BLOCK + tl.arange(0, BLOCK)
        grad_in = tl.zeros([BLOCK, MIXED], tl.float32)
        grad_out = tl.zeros([BLOCK, MIXED], tl.float32)
        plain_in = tl.zeros([BLOCK], tl.float32)
        plain_out = tl.zeros([MIXED], tl.float32)
        end = (num_tiles * (split + 1)) // num_splits
        for number in range((num_tiles * split) // num_splits, end):
            tile, group = number % num_blocks, number // num_blocks
            lane = tile * LANES + tl.arange(0, LANES)
            place, here, among = _places(group, lane, mixed, num_rows, ACROSS, K, D)
            a, enters = _block(
                grad, x, scale, shift, weight, bias, weight_out, seed_in, seed_inner, seed_out,
                stats, group, lane, among, unit, num_rows,
                ACROSS, RELU, K, H, D, LANES, BLOCK, CHUNK, SPAN, PRECISION,
                RATE_IN, LIMIT_IN, RATE_INNER, LIMIT_INNER, RATE_OUT, LIMIT_OUT,
            )  # fmt: skip
            y, arrives, hat, factor, inverse = _ends(
                grad, x, scale, shift, stats, seed_in, seed_out, group, lane, mixed, num_rows,
                ACROSS, K, D, SPAN, RATE_IN, LIMIT_IN, RATE_OUT, LIMIT_OUT,
            )  # fmt: skip
            grad_in += _product(tl.trans(enters), y, x, PRECISION)
            grad_out += _product(tl.trans(a), arrives, x, PRECISION)
            plain_in += tl.sum(enters, 0)
            plain_out += tl.sum(arrives, 0)
        part = parts + split.to(tl.int64) * (2 * K * H + H + K)
        there = (unit < H)[:, None] & (mixed < K)[None, :]
        tl.store(part + unit[:, None] * K + mixed[None, :], grad_in, mask=there)
        part += K * H
        tl.store(part + unit, plain_in, mask=unit < H)
        part += H
        tl.store(part + mixed[None, :] * H + unit[:, None], grad_out, mask=there)
        part += K * H
        tl.store(part + mixed, plain_out, mask=(mixed < K) & (worker < num_splits))


@triton.jit
def _added(
    parts: tl.tensor,
    element: tl.tensor,
    size: tl.tensor,
    num_parts: tl.tensor,
    PART: tl.constexpr,
    ROWS: tl.constexpr,
) -> tl.tensor:
    """The sum over num_parts of the elements, zero beyond `size`."""
    total = tl.zeros([ROWS, PART], tl.float32)
    inside = (element >= 0) & (element < size)
    for first in range(0, num_parts, ROWS):
        part = first + tl.arange(0, ROWS)
        mask = (part < num_parts)[:, None] & inside[None, :]
        place = part.to(tl.int64)[:, None] * size + element[None, :]
        total += tl.load(parts + place, mask=mask, other=0.0)
    return tl.sum(total, 0)


@triton.jit
def _put(out: tl.tensor, element: tl.tensor, value: tl.tensor, SIZE: tl.constexpr) -> None:
    tl.store(out + element, value, mask=(element >= 0) & (element < SIZE))


@kernel
def _finish(
    grad: tl.tensor,
    x: tl.tensor,
    scale: tl.tensor,
    stats: tl.tensor,
    inner: tl.tensor,
    of_norm: tl.tensor,
    parts: tl.tensor,
    grad_x: tl.tensor,
    grad_scale: tl.tensor,
    grad_shift: tl.tensor,
    grad_weight: tl.tensor,
    grad_bias: tl.tensor,
    grad_weight_out: tl.tensor,
    grad_bias_out: tl.tensor,
    num_rows: tl.tensor,
    num_splits: tl.tensor,
    num_norms: tl.tensor,
    num_adding: tl.tensor,
    K: tl.constexpr,
    H: tl.constexpr,
    D: tl.constexpr,
    FULL: tl.constexpr,
    TALL: tl.constexpr,
    PART: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    program = tl.program_id(0)
    SIZE: tl.constexpr = 2 * K * H + H + K
    if program < num_adding:
        element = program * PART + tl.arange(0, PART)
        value = _added(parts, element, SIZE, num_splits, PART, ROWS)
        _put(grad_weight, element, value, K * H)
        _put(grad_bias, element - K * H, value, H)
        _put(grad_weight_out, element - (K * H + H), value, K * H)
        _put(grad_bias_out, element - (2 * K * H + H), value, K)
        element -= SIZE
        value = _added(of_norm, element, 2 * D, num_norms, PART, ROWS)
        _put(grad_scale, element, value, D)
        _put(grad_shift, element - D, value, D)
    else:
        row = ((program - num_adding) * TALL + tl.arange(0, TALL)).to(tl.int64)
        feature = tl.arange(0, FULL)
        inside = (row < num_rows)[:, None] & (feature < D)[None, :]
        place = row[:, None] * D + feature[None, :]
        mean = tl.load(stats + row, mask=row < num_rows, other=0.0)
        inverse = tl.load(stats + num_rows + row, mask=row < num_rows, other=0.0)
        own = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
        hat = tl.where(inside, (own - mean[:, None]) * inverse[:, None], 0.0)
        total = tl.load(inner + place, mask=inside, other=0.0)
        total *= tl.load(scale + feature, mask=feature < D, other=0.0)[None, :]
        along = tl.sum(total * hat, 1) / D
        total -= tl.sum(total, 1)[:, None] / D + hat * along[:, None]
        total = (
            tl.load(grad + place, mask=inside, other=0.0).to(tl.float32) + inverse[:, None] * total
        )
        tl.store(grad_x + place, total.to(grad_x.dtype.element_ty), mask=inside)
