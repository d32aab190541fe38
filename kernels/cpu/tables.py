"""Gradients of small tables: each chunk adds to a copy of its own, and the copies are added up.

Few rows get the gradients of many, so that threads would meet in them: private copies need neither
locks nor atomics, and a fixed order of adding them gives the same bits on any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor

from gbench.kernels.cpu.rows import count_chunks


def table_chunks(work: int, num_entries: int, num_rows: int) -> int:
    """Chunks of a walk over so many entries: a private table should cost less than its entries."""
    return count_chunks(work, max(1, min(16, num_entries // max(1, num_rows))))


def private_tables(chunks: int, num_rows: int, like: Tensor) -> Any:
    """Zeros (chunks, num_rows, D), as wide as `like` and of the type that its sums are made in."""
    dtype = numpy.float64 if like.dtype is torch.float64 else numpy.float32
    return numpy.zeros((chunks, num_rows, like.size(1)), dtype)


def total_table(tables: Any) -> Tensor:
    """The sum of the private tables."""
    return torch.from_numpy(tables[0] if len(tables) == 1 else tables.sum(0))
