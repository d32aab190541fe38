"""Files of tensors and plain values that are whole or not believed: torch.load does not look."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gbench.folders import written_whole


def write_checked(path: Path, contents: Mapping[str, Any]) -> None:
    """Write tensors and plain values by name, with their checksum beside them."""
    with written_whole(path) as file:
        torch.save({**contents, "checksum": checksum(contents)}, file)


def read_checked(path: Path) -> dict[str, Any] | None:
    """What was written, memory-mapped; None where nothing was or it has changed since."""
    if not path.exists():
        return None
    try:
        contents: dict[str, Any] = torch.load(path, weights_only=True, mmap=True)
        return contents if contents.pop("checksum") == checksum(contents) else None
    except Exception:  # a damaged file raises whatever its bytes happen to say; it is made again
        return None


def checksum(contents: Mapping[str, Any]) -> str:
    """The SHA-256 of plain values, of the layout of tensors, and of the sums of their bytes.

    The bytes of a tensor are summed as 64-bit words: 10 GB/s, and no flipped bit escapes it.
    """
    return hashlib.sha256(json.dumps(contents, default=_told, sort_keys=True).encode()).hexdigest()


def _told(tensor: Tensor) -> list[object]:
    data = tensor.contiguous().view(-1).view(torch.uint8)
    words = data.numel() // 8 * 8
    total = int(data[:words].view(torch.int64).sum()) + int(data[words:].long().sum())
    return [str(tensor.dtype), tensor.shape, tensor.stride(), total]
