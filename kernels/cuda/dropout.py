"""CUDA: one walk that draws and multiplies, in programs that share the hash's first half."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.draws import dropped, row_key
from gbench.kernels.cuda.rows import kernel, launch
from gbench.kernels.dropout import KEY_SPAN

SIZE = 1024  # elements of a program, two loads of 128 bits for each thread


def dropout(x: Tensor, seed: Tensor, rate: float) -> Tensor:
    """The forward of gbench/kernels/dropout.py, and with the output's gradient the backward."""
    x = x.contiguous()
    out = x.new_empty(x.shape)
    if x.numel():
        launch(
            _dropout,
            (-(-x.numel() // SIZE),),
            x,
            seed,
            out,
            x.numel(),
            RATE=rate,
            LIMIT=int(rate * 2**32),
            SPAN=KEY_SPAN,
            SIZE=SIZE,
        )
    return out


@kernel
def _dropout(
    x: tl.tensor,
    seed: tl.tensor,
    out: tl.tensor,
    count: tl.tensor,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
    SIZE: tl.constexpr,
) -> None:
    start = tl.program_id(0).to(tl.int64) * SIZE
    inside = tl.arange(0, SIZE)
    here = start + inside < count
    key = row_key(tl.load(seed), start // SPAN)
    value = tl.load(x + start + inside, mask=here, other=0.0)
    wide = value.to(tl.float32) if value.dtype == tl.bfloat16 else value
    wide = dropped(wide, key, (start % SPAN).to(tl.int32) + inside, RATE, LIMIT)
    tl.store(out + start + inside, wide.to(out.dtype.element_ty), mask=here)
