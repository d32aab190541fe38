"""How the numba kernels are compiled, and how their rows are shared among threads.

A kernel is a plain function kernel(first, last, num_chunks, ...) over the chunks first..last - 1.
The number of chunks depends on the work alone and never on the number of threads, so results are
bitwise the same at any torch.set_num_threads. The threads are Python's: a compiled kernel holds no
GIL, one compilation serves one thread and many, and a kernel on one thread pays for none of it.
(numba's own default threading layer aborts when two Python threads enter it at once.)
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import numba
import numpy
import torch
from torch import Tensor

from gbench.kernels.cpu.cache import folder_of

# No "nnan" and no "ninf": a NaN among the features must come out as a NaN.
_njit = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"}
)
_choosing = Lock()

CHUNK_WORK = 1 << 20  # elements: about 0.3 ms, against 0.05 ms to wake a thread

_pool: ThreadPoolExecutor | None = None


def compiled(function: Callable[..., Any]) -> Any:
    """Let numba compile the function when it is first called, and keep the result (cache.py)."""
    with _choosing:  # numba reads where to keep it when it wraps the function
        chosen = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder_of(Path(function.__code__.co_filename), chosen))
        try:
            return _njit(function)
        finally:
            numba.config.CACHE_DIR = chosen


def count_chunks(work: int, limit: int = 64) -> int:
    """Into how many pieces `work` elements are cut."""
    return max(1, min(limit, work // CHUNK_WORK))


@compiled
def chunk_start(rowptr: Any, chunk: int, num_chunks: int) -> int:
    """The first row of a chunk, such that all chunks have about as many rows + entries.

    Counting entries and not only rows keeps one thread from getting all the hubs.
    """
    num_rows = len(rowptr) - 1
    goal = (num_rows + rowptr[num_rows]) * chunk // num_chunks
    low, high = 0, num_rows
    while low < high:
        middle = (low + high) // 2
        if middle + rowptr[middle] < goal:
            low = middle + 1
        else:
            high = middle
    return low


def run(kernel: Callable[..., int], num_chunks: int, *args: Any) -> int:
    """Run all chunks on at most torch.get_num_threads() threads and return the largest result."""
    threads = min(torch.get_num_threads(), num_chunks)
    if threads == 1:
        return kernel(0, num_chunks, num_chunks, *args)
    cuts = [num_chunks * thread // threads for thread in range(threads + 1)]
    futures = [
        _threads().submit(kernel, first, last, num_chunks, *args)
        for first, last in pairwise(cuts[1:])
    ]
    result = kernel(0, cuts[1], num_chunks, *args)
    return max(result, *(future.result() for future in futures))


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="gbench")
    return _pool


def _forget_threads() -> None:
    global _pool
    _pool = None


os.register_at_fork(after_in_child=_forget_threads)  # threads do not survive a fork


def array(tensor: Tensor) -> Any:
    """The tensor's memory as a numpy array, copied only if it is not contiguous.

    bfloat16 comes as its bits, uint16: see bfloat16.py.
    """
    if not tensor.is_contiguous():
        tensor = tensor.contiguous()
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.view(torch.uint16)
    return (tensor.detach() if tensor.requires_grad else tensor).numpy()


def unset(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory for an output: from 4 MB on numpy's, which asks Linux for pages of 2 MB.

    Torch's are of 4 kB, and the first write to each is a call of the system: 500 MB are filled in
    233 ms, numpy's in 50 ms.
    """
    if math.prod(shape) * dtype.itemsize < 1 << 22:
        return torch.empty(shape, dtype=dtype)
    stored = torch.uint16 if dtype is torch.bfloat16 else dtype
    memory = numpy.empty(shape, str(stored).removeprefix("torch."))
    return torch.from_numpy(memory).view(dtype)
