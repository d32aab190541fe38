"""The processes that train together, one for each device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def process() -> tuple[int, int]:
    """Rank and number of the processes that train together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def mean_of_processes(value: Tensor) -> Tensor:
    """The mean of each process's value, in every process."""
    _, world_size = process()
    if world_size == 1:
        return value
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total / world_size


def gathered(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Every process's rows, in every process. Metrics do not depend on their order."""
    _, world_size = process()
    if world_size == 1:
        return prediction, target
    parts: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(parts, (prediction.cpu(), target.cpu()))
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
