"""Memory that is freed is there again, without the system, and goes back to it at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from gbench import heap

LINUX = pytest.mark.skipif(heap.glibc() is None, reason="needs glibc")

STEPS = """
import resource
from pathlib import Path
import numpy as np
from gbench import heap

def step():
    for array in [np.empty(4 << 20, np.float32) for _ in range(8)]:  # 128 MiB
        array[:] = 1

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

before = resident()
with heap.kept():
    step()
    print(pages(), resident() - before)
    heap.give_back()
    print(resident() - before)
    step()
print(resident() - before, pages())
"""


def told() -> list[int]:
    said = (*heap.SAID, "GLIBC_TUNABLES")
    clean = {name: value for name, value in os.environ.items() if name not in said}
    clean["NUMPY_MADVISE_HUGEPAGE"] = "0"  # each page is counted
    command = [sys.executable, "-c", STEPS]
    out = subprocess.run(command, env=clean, check=True, capture_output=True, text=True).stdout
    return [int(number) for number in out.split()]


@LINUX
def test_steps_take_no_page_of_the_system_that_they_had_before() -> None:
    size = 4 * 8 * (4 << 20) // os.sysconf("SC_PAGE_SIZE")
    within, held, given_back, after, outside = told()
    assert within < 0.05 * size  # pages that the system filled with zeros in a step
    assert held > 0.9 * size
    assert max(given_back, after) < 0.1 * size
    assert outside > 5 * (within + 1)  # few of them where the system's pages are huge


@LINUX
@pytest.mark.parametrize(
    "said", [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.check=0"}]
)
def test_what_the_environment_says_of_malloc_stays(said, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(heap, "glibc", lambda: pytest.fail("it was asked to change"))
    with heap.kept():
        pass


def test_without_glibc_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "glibc", lambda: None)
    with heap.kept():
        heap.give_back()


class Heard:
    """A C library that notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def mallopt(self, *given: int) -> None:
        self.asked.append(given)

    def malloc_trim(self, _: int) -> None:
        self.asked.append(("trim",))


def test_an_error_inside_gives_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    monkeypatch.setattr(heap, "glibc", lambda: heard)
    for name in (*heap.SAID, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError), heap.kept():
        raise RuntimeError
    thresholds = (heap.M_MMAP_THRESHOLD, heap.LARGEST), (heap.M_TRIM_THRESHOLD, heap.NEVER)
    assert heard.asked == [*thresholds, (heap.M_TRIM_THRESHOLD, heap.TRIMMED), ("trim",)]
