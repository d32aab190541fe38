"""Programs of one launch that wait for each other, where a step of all needs the step before.

A cooperative launch: the driver refuses a grid that does not fit the device at once, and each
program then runs until all have arrived, so that waiting ends. What a program wrote before it
waited, every program reads after: the count is raised with release and read with acquire, and the
barriers on both sides order the other lanes of the program.

Triton's interpreter runs programs one after the other, so that there is one, which waits for none:
kernels launched so loop over their tiles.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import launch

PROGRAMS = 8  # of one warp each on a multiprocessor: any device holds these at once


def launch_together(kernel: Any, tiles: int, *args: Any, **flags: Any) -> None:
    """Call kernel(*args, counter, tiles, **flags) by at most as many programs as run at once."""
    like: Tensor = args[0]
    counter = like.new_zeros(1, dtype=torch.int32)
    grid = (1,)
    if like.is_cuda:
        grid = (min(tiles, PROGRAMS * _multiprocessors(like.device)),)
        flags["launch_cooperative_grid"] = True
    launch(kernel, grid, *args, counter, tiles, **flags, num_warps=1)


@cache
def _multiprocessors(device: torch.device) -> int:
    count: int = torch.cuda.get_device_properties(device).multi_processor_count
    return count


@triton.jit
def wait_for_all(counter: tl.tensor, times: tl.tensor) -> None:
    """Go on when all programs of the launch have called this for the `times`-th time."""
    tl.debug_barrier()
    tl.atomic_add(counter, 1, sem="release", scope="gpu")
    arrivals = times * tl.num_programs(0)
    while tl.load(counter, volatile=True) < arrivals:  # what waits disturbs no addition
        pass
    while tl.atomic_add(counter, 0, sem="acquire", scope="gpu") < arrivals:  # once
        pass
    tl.debug_barrier()
