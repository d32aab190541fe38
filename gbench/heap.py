"""Memory that is freed stays with the process while a training runs: the next step takes it again.

glibc gives back to the system what is freed at the end of its heap, and arrays from some size on
at once. What takes it again has the system fill every page with zeros first, which on steps whose
arrays have megabytes is a twentieth to a third of the time. The peak stays what it is.

Where there is no glibc, and where the environment already says how its malloc is to behave, nothing
is changed.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST = 1 << 25  # the highest M_MMAP_THRESHOLD that glibc takes
TRIMMED = 2 * LARGEST  # where its own rule arrives when arrays as large come and go
NEVER = (1 << 31) - 1  # the highest int
SAID = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_")


@contextmanager
def kept() -> Iterator[None]:
    """Keep what is freed inside, and give it back at the end."""
    libc = None if _is_said() else glibc()
    if libc is None:
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
    libc.mallopt(M_TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        libc.mallopt(M_TRIM_THRESHOLD, TRIMMED)
        libc.malloc_trim(0)


def give_back() -> None:
    """Give back what is free now, so that it does not count as memory that is in use."""
    if (libc := glibc()) is not None:
        libc.malloc_trim(0)


@cache
def glibc() -> ctypes.CDLL | None:
    """The C library, if it is glibc."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    has = all(hasattr(libc, name) for name in ("gnu_get_libc_version", "mallopt", "malloc_trim"))
    return libc if has else None


def _is_said() -> bool:
    told = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    return told or any(name in os.environ for name in SAID)
