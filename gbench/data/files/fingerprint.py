"""One number for all tensors of a dataset, which says whether two runs saw the same data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def fingerprint(tensors: Mapping[str, Tensor], more: str = "") -> str:
    """The SHA-256 of tensors with their names, types and shapes, and of a text behind them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(bytes(tensor.contiguous().view(-1).view(torch.uint8).numpy()))
    digest.update(more.encode())
    return digest.hexdigest()
