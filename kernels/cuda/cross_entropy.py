"""CUDA: one program sums few targets; of many, several leave sums that torch adds."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.cross_entropy import NO_LABEL
from gbench.kernels.cuda.rows import cdiv, gather, kernel, launch, power_of_2, wide

TILE = 2048  # scores of a program at a time, 16 for each of its threads
TILES = 16  # that one program walks before a second one pays


def cross_entropy(
    logits: Tensor, y: Tensor, targets: Tensor | None, count: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/cross_entropy.py."""
    logits = logits.contiguous()
    targets = None if targets is None else targets.contiguous()
    num_terms = logits.size(0) if targets is None else targets.numel()
    sizes = _sizes(logits)
    programs = max(1, min(1024, cdiv(num_terms, TILES * sizes["ROWS"])))
    sums = logits.new_empty(2, programs, dtype=wide(logits.dtype))
    # one program divides too
    loss, number = (sums.new_empty(()) for _ in range(2))
    given = (logits, y.contiguous(), targets, sums, loss, number, num_terms)
    launch(_forward, (programs,), *given, **sizes, ALONE=programs == 1)
    if programs > 1:
        total, number = sums.sum(1)
        loss = total / number
        number = number.clone()
    return loss, number


def cross_entropy_backward(
    logits: Tensor, grad: Tensor, y: Tensor, count: Tensor | None, number: Tensor
) -> Tensor:
    """The gradient of gbench/kernels/cross_entropy.py."""
    logits = logits.contiguous()
    out, sizes = logits.new_empty(logits.shape), _sizes(logits)
    if logits.numel():
        grid = (cdiv(logits.size(0), sizes["ROWS"]),)
        count = None if count is None else count.contiguous()
        given = (logits, grad, y.contiguous(), count, number, out, logits.size(0))
        launch(_backward, grid, *given, **sizes)
    return out


def _sizes(logits: Tensor) -> dict[str, int]:
    columns = power_of_2(max(1, logits.size(1)))
    rows = max(1, TILE // columns)
    return {"CLASSES": logits.size(1), "ROWS": rows, "COLUMNS": columns, "NO_LABEL": NO_LABEL}


@kernel
def _forward(
    logits: tl.tensor,
    y: tl.tensor,
    targets: tl.tensor,
    sums: tl.tensor,
    loss: tl.tensor,
    number: tl.tensor,
    num_terms: tl.tensor,
    CLASSES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    NO_LABEL: tl.constexpr,
    ALONE: tl.constexpr,
) -> None:
    column = tl.arange(0, COLUMNS)
    total, terms = tl.zeros([ROWS], loss.dtype.element_ty), tl.zeros([ROWS], loss.dtype.element_ty)
    for first in range(tl.program_id(0) * ROWS, num_terms, tl.num_programs(0) * ROWS):
        term = first + tl.arange(0, ROWS)
        here = term < num_terms
        row = term.to(tl.int64)
        if targets is not None:
            row = tl.load(targets + term, mask=here, other=0)
        label = tl.load(y + row, mask=here, other=NO_LABEL)
        value = gather(logits, row, here, column, CLASSES, 0.0).to(total.dtype)
        top = tl.max(tl.where((column < CLASSES)[None, :], value, -float("inf")), 1)
        power = tl.exp(value - top[:, None])
        power = tl.where((column < CLASSES)[None, :], power, 0.0)
        log_sum = top + tl.log(tl.sum(power, 1))
        own = tl.sum(tl.where(column[None, :] == label[:, None], value, 0.0), 1)
        known = (label >= 0) & (label < CLASSES)
        term_loss = tl.where(known, log_sum - own, float("nan"))
        has_label = label != NO_LABEL
        total += tl.where(has_label, term_loss, 0.0)
        terms += tl.where(has_label, 1.0, 0.0)
    all_loss, all_terms = tl.sum(total, 0), tl.sum(terms, 0)
    if ALONE:
        tl.store(loss, all_loss / all_terms)
        tl.store(number, all_terms)
    else:
        tl.store(sums + tl.program_id(0), all_loss)
        tl.store(sums + tl.num_programs(0) + tl.program_id(0), all_terms)


@kernel
def _backward(
    logits: tl.tensor,
    grad: tl.tensor,
    y: tl.tensor,
    count: tl.tensor,
    number: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    CLASSES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    NO_LABEL: tl.constexpr,
) -> None:
    column = tl.arange(0, COLUMNS)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < num_rows
    label = tl.load(y + row, mask=here, other=NO_LABEL)
    times = tl.full([ROWS], 1.0, number.dtype.element_ty)
    if count is not None:
        times = tl.load(count + row, mask=here, other=0).to(times.dtype)
    is_term = (times > 0) & (label != NO_LABEL)
    value = gather(logits, row, here & is_term, column, CLASSES, 0.0).to(times.dtype)
    value = tl.where((column < CLASSES)[None, :], value, -float("inf"))
    power = tl.exp(value - tl.max(value, 1)[:, None])
    share = power / tl.sum(power, 1)[:, None]
    share -= tl.where(column[None, :] == label[:, None], 1.0, 0.0)
    scale = tl.load(grad) * times / tl.load(number)
    final = tl.where(is_term[:, None], scale[:, None] * share, 0.0)
    place = row.to(tl.int64)[:, None] * CLASSES + column[None, :]
    mask = here[:, None] & (column < CLASSES)[None, :]
    tl.store(out + place, final.to(out.dtype.element_ty), mask=mask)
