"""Tensors that autograd would keep for backward, and that backward computes again instead."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


class Again:
    """A tensor by how to compute it once more, to the same bits. Autograd holds that alone.

    Two operations whose backwards need it compute it twice: between them it would be one more
    tensor at the peak of memory.
    """

    def __init__(self, compute: Callable[[], Tensor]) -> None:
        self._compute = compute

    def __call__(self) -> Tensor:
        with torch.no_grad():
            return self._compute()


def not_kept(tensor: Tensor, again: Again | None) -> AbstractContextManager[Any]:
    """Within it, operations that save `tensor` for backward save `again` in its place."""
    if again is None:
        return nullcontext()

    place, shape = tensor.data_ptr(), tensor.shape

    def pack(saved: Tensor) -> Tensor | Again:
        # torch keeps this function, and gives it a view of the memory, which is not freed in here
        return again if saved.data_ptr() == place and saved.shape == shape else saved

    def unpack(packed: Tensor | Again) -> Tensor:
        return packed() if isinstance(packed, Again) else packed

    return saved_tensors_hooks(pack, unpack)
