"""CUDA: one program sums few entries; of many, several leave sums that torch adds."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import cdiv, kernel, launch, wide
from gbench.kernels.entry_loss import KINDS

TILE = 1024  # entries of a program at a time, 8 for each of its threads
TILES = 16  # that one program walks before a second one pays


def entry_loss(
    x: Tensor, y: Tensor, count: Tensor | None, kind: str, option: float, pairs: bool
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/entry_loss.py."""
    x, y = x.contiguous(), y.contiguous()
    count = None if count is None else count.contiguous()
    programs = max(1, min(1024, cdiv(x.numel(), TILE * TILES)))
    sums = x.new_empty(4, programs, dtype=wide(x.dtype))
    loss, number = sums.new_empty(()), sums.new_empty(2)  # one program divides too
    given = (x, y, count, sums, loss, number, x.numel())
    sizes = _sizes(x, kind, option, pairs)
    launch(_forward, (programs,), *given, **sizes, ALONE=programs == 1)
    if programs > 1:
        total, number = sums.sum(1).view(2, 2)
        number = number.clamp(min=1)
        loss = (total / number).sum()
    return loss, number


def entry_loss_backward(
    x: Tensor,
    grad: Tensor,
    number: Tensor,
    y: Tensor,
    count: Tensor | None,
    kind: str,
    option: float,
    pairs: bool,
) -> Tensor:
    """The gradient of gbench/kernels/entry_loss.py."""
    x, y = x.contiguous(), y.contiguous()
    count = None if count is None else count.contiguous()
    out = x.new_empty(x.shape)
    if x.numel():
        given = (x, y, count, grad, number, out, x.numel())
        launch(_backward, (cdiv(x.numel(), TILE),), *given, **_sizes(x, kind, option, pairs))
    return out


def _sizes(x: Tensor, kind: str, option: float, pairs: bool) -> dict[str, Any]:
    """What the kernels are compiled for; a number at run time would be a float32."""
    return {
        "OPTION": float(option),
        "WIDTH": max(1, x.size(1)),
        "KIND": KINDS.index(kind),
        "PAIRS": pairs,
        "TILE": TILE,
    }


@kernel
def _forward(
    x: tl.tensor,
    y: tl.tensor,
    count: tl.tensor,
    sums: tl.tensor,
    loss: tl.tensor,
    number: tl.tensor,
    num_entries: tl.tensor,
    OPTION: tl.constexpr,
    WIDTH: tl.constexpr,
    KIND: tl.constexpr,
    PAIRS: tl.constexpr,
    TILE: tl.constexpr,
    ALONE: tl.constexpr,
) -> None:
    zero = tl.zeros([TILE], loss.dtype.element_ty)
    total, others, terms, other_terms = zero, zero, zero, zero
    step = tl.num_programs(0).to(tl.int64) * TILE
    for first in range(tl.program_id(0).to(tl.int64) * TILE, num_entries, step):
        place = first + tl.arange(0, TILE)
        weight, value, label = entry(x, y, count, place, num_entries, WIDTH, zero)
        term = tl.where(weight > 0, weight * loss_term(value, label, OPTION, KIND), 0.0)
        if PAIRS:
            is_link = label > 0
            total += tl.where(is_link, term, 0.0)
            others += tl.where(is_link, 0.0, term)
            terms += tl.where(is_link, weight, 0.0)
            other_terms += tl.where(is_link, 0.0, weight)
        else:
            total += term
            terms += weight
    own, other = tl.sum(total, 0), tl.sum(others, 0)
    number_own, number_other = tl.sum(terms, 0), tl.sum(other_terms, 0)
    if ALONE:
        number_own = tl.maximum(number_own, 1.0)
        number_other = tl.maximum(number_other, 1.0)
        tl.store(loss, own / number_own + other / number_other)
        tl.store(number, number_own)
        tl.store(number + 1, number_other)
    else:
        programs = tl.num_programs(0)
        tl.store(sums + tl.program_id(0), own)
        tl.store(sums + programs + tl.program_id(0), other)
        tl.store(sums + 2 * programs + tl.program_id(0), number_own)
        tl.store(sums + 3 * programs + tl.program_id(0), number_other)


@kernel
def _backward(
    x: tl.tensor,
    y: tl.tensor,
    count: tl.tensor,
    grad: tl.tensor,
    number: tl.tensor,
    out: tl.tensor,
    num_entries: tl.tensor,
    OPTION: tl.constexpr,
    WIDTH: tl.constexpr,
    KIND: tl.constexpr,
    PAIRS: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    place = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    zero = tl.zeros([TILE], number.dtype.element_ty)
    weight, value, label = entry(x, y, count, place, num_entries, WIDTH, zero)
    scale = tl.load(grad) / tl.load(number)
    if PAIRS:
        scale = tl.where(label > 0, scale, tl.load(grad) / tl.load(number + 1))
    final = scale * weight * loss_slope(value, label, OPTION, KIND)
    final = tl.where(weight > 0, final, 0.0)
    tl.store(out + place, final.to(out.dtype.element_ty), mask=place < num_entries)


@triton.jit
def entry(
    x: tl.tensor,
    y: tl.tensor,
    count: tl.tensor,
    place: tl.tensor,
    num_entries: tl.tensor,
    WIDTH: tl.constexpr,
    like: tl.tensor,
) -> tl.tensor:
    """Weight, value and label of each entry; without a label the weight and the label are 0."""
    here = place < num_entries
    value = tl.load(x + place, mask=here, other=0.0).to(like.dtype)
    label = tl.load(y + place, mask=here, other=float("nan")).to(like.dtype)
    is_known = label == label
    weight = tl.where(is_known, 1.0, 0.0).to(like.dtype)
    if count is not None:
        weight *= tl.load(count + place // WIDTH, mask=here, other=0).to(like.dtype)
    return weight, value, tl.where(is_known, label, 0.0)


@triton.jit
def loss_term(
    value: tl.tensor, label: tl.tensor, OPTION: tl.constexpr, KIND: tl.constexpr
) -> tl.tensor:
    """ℓ(x, y)."""
    apart = value - label
    if KIND == 0:
        small = tl.exp(-tl.abs(value))
        more = 1.0 + small  # log(1 + small), also where 1 + small is 1
        gap = more - 1.0
        log_more = tl.where(gap == 0.0, small, tl.log(more) * (small / tl.where(gap == 0, 1, gap)))
        term = (1.0 - label) * value - tl.minimum(value, 0.0) + log_more
    elif KIND == 1:
        term = apart * apart
    elif KIND == 2:
        term = tl.abs(apart)
    elif KIND == 3:
        size = tl.abs(apart)
        term = tl.where(size <= OPTION, 0.5 * apart * apart, OPTION * (size - 0.5 * OPTION))
    else:
        term = tl.maximum(-OPTION * apart, (1.0 - OPTION) * apart)
    return term


@triton.jit
def loss_slope(
    value: tl.tensor, label: tl.tensor, OPTION: tl.constexpr, KIND: tl.constexpr
) -> tl.tensor:
    """dℓ/dx; 0 where |x - y| has none, and the mean of both sides of a quantile's."""
    apart = value - label
    sign = (tl.where(apart > 0, 1.0, 0.0) - tl.where(apart < 0, 1.0, 0.0)).to(apart.dtype)
    if KIND == 0:
        small = tl.exp(-tl.abs(value))
        slope = tl.where(value >= 0, 1.0, small) / (1.0 + small) - label
    elif KIND == 1:
        slope = 2.0 * apart
    elif KIND == 2:
        slope = sign
    elif KIND == 3:
        slope = tl.where(tl.abs(apart) <= OPTION, apart, OPTION * sign)
    else:
        slope = 0.5 * sign + 0.5 - OPTION
    return slope
