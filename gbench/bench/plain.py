"""The case of an operation whose only peer is its definition in torch operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from gbench.bench.case import Arm, Case


def case(
    function: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    values: Mapping[str, Tensor],
    moved: tuple[int, int],
    dtype: torch.dtype = torch.float32,
) -> Case:
    """Both take the values by order; all of them get a gradient."""
    found = {"torch operations": lambda: Arm.of(reference, values)}
    return Case(
        Arm.of(reference, values, torch.float64),
        Arm.of(function, values, dtype),
        found if dtype == torch.float32 else {},
        moved,
        dtype,
    )
