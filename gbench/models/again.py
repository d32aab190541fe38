"""Tensors that autograd would keep for backward, and that backward computes again instead."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


class Again:
    """A tensor and how to compute it once more, to the same bits. Autograd holds the latter alone.

    With `stays` what was computed is held until it is asked for the next time: another operation's
    backward comes right after and needs it too.
    """

    def __init__(self, compute: Callable[[], Tensor]) -> None:
        self._compute = compute
        self._kept: Tensor | None = None

    def __call__(self, *, stays: bool = False) -> Tensor:
        found = self._kept
        if found is None:
            with torch.no_grad():
                found = self._compute()
        self._kept = found if stays else None
        return found


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
