"""How precisely products of float32 matrices are computed: torch's setting, for one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from gbench.errors import UserError


@contextmanager
def matmul_precision(trainer: Mapping[str, Any]) -> Iterator[None]:
    """`trainer.matmul` for what is computed inside, whatever was set before; that again after it.

    highest: float32. high: on a GPU in TF32, whose factors have 10 bits of mantissa. medium: as
    high on a GPU, and on a CPU with units for it in bfloat16, which has 7. Sums are float32.
    The kernels of gbench/kernels are as precise with each: it is about torch's own products.

    Raises UserError where other code has set the precision of one backend in torch's newer way:
    the older one, which knows all backends, then has no answer.
    """
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError as error:
        raise UserError(
            "code of your own sets torch.backends...fp32_precision, which no record would tell: "
            "leave that out and say trainer.matmul=high, or medium"
        ) from error
    torch.set_float32_matmul_precision(trainer.get("matmul", "highest"))  # older runs do not say
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
