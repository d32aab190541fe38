"""jobs=auto on GPUs: how many runs share a device, by the memory that the first one took on it.

Small models leave most of a GPU idle, in memory and in time. The first run of each device has it to
itself; what is in use there at its peak, context and other programs included, is taken for each of
those that run side by side then. One that needs more than has room fails, and is tried again.
"""

from __future__ import annotations

from typing import NamedTuple

MARGIN = 0.1  # of a device's memory that stays free


class Taken(NamedTuple):
    """Bytes of a device: those in use at a run's peak, and all of them."""

    used: int
    total: int


def taken_here() -> Taken | None:
    """What is in use of the device of this process; None without one.

    That is as much as at its peak: torch gives nothing back that it has taken.
    """
    import torch

    if not torch.cuda.is_initialized():
        return None
    free, total = torch.cuda.mem_get_info()
    return Taken(total - free, total)


def runs_on_each(taken: Taken, devices: int, cores: int) -> int:
    """How many runs fit on a device, at most one for each of its share of the cores."""
    fitting = int((1 - MARGIN) * taken.total) // max(1, taken.used)
    return max(1, min(fitting, cores // devices))


def told(taken: Taken, devices: int, cores: int) -> str:
    """The same as a sentence."""
    each = runs_on_each(taken, devices, cores)
    used, total = (size / 2**30 for size in taken)
    where = "on it" if devices == 1 else f"on each of {devices}"
    limit = ", one for each core" if each == max(1, cores // devices) else ""
    return f"jobs=auto: a run takes {used:.1f} of a GPU's {total:.1f} GiB: {each} {where}{limit}"
