"""How much memory there is to hold a dataset's tensors and what is made of them."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def machine_bytes() -> int:
    """Of this machine, or of the container that the process runs in; 0 where nothing tells."""
    found = [0]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found.append(int(Path(file).read_text()))
        except (OSError, ValueError):  # there is none, or it says "max"
            continue
    return min(filter(None, found), default=0)


def free_bytes() -> int:
    """Of the GPU if there is one, else of the machine, what its caches would give up included.

    0 where nothing tells.
    """
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        (text,) = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return min(int(text) * 1024, machine_bytes() or int(text) * 1024)
    except (OSError, ValueError):  # no Linux: all that there is
        return machine_bytes()
