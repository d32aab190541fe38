"""Time several ways to do the same thing in one process, by turns, and compare them.

On the CPU at one thread the clock is the process's CPU time: on a busy machine wall time measures
the neighbours, and with two threads a single barrier can cost a whole scheduler quantum. With
several threads it has to be wall time. On a GPU events bracket the replays of a CUDA graph, so
that the launches of small kernels, which a graph would save in training too, are in nobody's time.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

Call = Callable[[], object]
Samples = list[float]

SAMPLE_SECONDS = 0.005  # a sample repeats its call until it takes this long
MAX_ROUNDS = 101
RESAMPLES = 2000
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
SMALLEST_ARRAY = 1 << 16  # bytes; what is smaller may come from anywhere


class Budget(NamedTuple):
    """How long to measure: rounds are added until the seconds are used up, but never too few."""

    seconds: float
    min_rounds: int


FULL = Budget(seconds=6.0, min_rounds=15)
QUICK = Budget(seconds=1.0, min_rounds=5)


class Ratio(NamedTuple):
    """A median ratio and its 95 % bootstrap interval."""

    middle: float
    low: float
    high: float


def by_turns(
    calls: Mapping[str, Call], device: torch.device, budget: Budget, is_replayed: bool = True
) -> dict[str, Samples]:
    """Seconds per call of each, one sample per round; the order turns from round to round.

    Every call must have been made before, so that nothing is compiled while the clock runs. What
    works on the CPU too, as a loader does, cannot be replayed as a CUDA graph.
    """
    timers = {name: _timer(call, device, is_replayed) for name, call in calls.items()}
    repeats = {}
    for name, timer in timers.items():
        timer(1)
        repeats[name] = max(1, round(SAMPLE_SECONDS / max(timer(1), 1e-9)))
    samples: dict[str, Samples] = {name: [] for name in calls}
    names = list(calls)
    collecting = gc.isenabled()
    gc.disable()
    try:
        started = time.perf_counter()
        for turn in range(MAX_ROUNDS):
            if turn >= budget.min_rounds and time.perf_counter() - started > budget.seconds:
                break
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                samples[name].append(timers[name](repeats[name]))
    finally:
        if collecting:
            gc.enable()
    return samples


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """The median of the rounds' ratios, and where 95 % of the medians of resampled rounds lie."""
    ratios = np.asarray(numerator) / np.asarray(denominator)
    picks = np.random.default_rng(0).integers(len(ratios), size=(RESAMPLES, len(ratios)))
    medians = np.median(ratios[picks], axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return Ratio(float(np.median(ratios)), float(low), float(high))


def copying(num_bytes: int, device: torch.device) -> Call:
    """A plain copy that reads and writes `num_bytes` in all: the floor a kernel is held to."""
    half = max(num_bytes // 2, 1)
    source = torch.ones(half, dtype=torch.uint8, device=device)
    target = torch.ones(half, dtype=torch.uint8, device=device)
    return lambda: target.copy_(source)


def cpu_clock() -> Callable[[], float]:
    """CPU time on one thread, wall time on several."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def clock_name(device: torch.device) -> str:
    """Which clock `by_turns` reads."""
    if device.type == "cuda":
        return "CUDA events, graph replays where possible"
    return "CPU time" if torch.get_num_threads() == 1 else "wall time"


def seconds_of(call: Call, device: torch.device) -> float:
    """Seconds that one call takes."""
    return _timer(call, device, is_replayed=False)(1)


def _timer(call: Call, device: torch.device, is_replayed: bool) -> Callable[[int], float]:
    """A function from a number of repeats to the seconds of one."""
    if device.type == "cuda":
        return _cuda_timer(_replayed(call) if is_replayed else call)
    clock = cpu_clock()

    def seconds(repeats: int) -> float:
        started = clock()
        for _ in range(repeats):
            call()
        return (clock() - started) / repeats

    return seconds


def _cuda_timer(call: Call) -> Callable[[int], float]:
    def seconds(repeats: int) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000 / repeats

    return seconds


def waits(call: Call) -> str:
    """Where a call waits for the device, as torch says it, "" where it does not.

    It must have been made before: what it compiles and keeps may wait, once. Sparse products are
    not watched by torch: of them only the capture tells.
    """
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        call()
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        return str(error).partition("\n")[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
    return ""


class CaptureFailed(Exception):
    """A call that does not wait, and that no CUDA graph can hold all the same."""


@dataclass(frozen=True)
class Replay:
    """A call held by a CUDA graph: the tensors that it returned are written anew each time."""

    graph: torch.cuda.CUDAGraph
    result: Any

    def __call__(self) -> None:
        self.graph.replay()


def captured(call: Call) -> Replay:
    """A CUDA graph of a call that does not wait for the device: see `waits`.

    Raises CaptureFailed. The default generator would be left in the middle of the capture, and
    every later draw fail: it goes on with a copy of its state.
    """
    stream, before = torch.cuda.Stream(), torch.cuda.current_stream()
    stream.wait_stream(before)
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    before.wait_stream(stream)
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    kept = generator.clone_state()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=stream):
            result = call()
    except Exception as error:
        torch.cuda.set_stream(before)  # torch leaves it only where the capture ends well
        generator.graphsafe_set_state(kept)
        raise CaptureFailed(f"{type(error).__name__}: {error}".partition("\n")[0]) from error
    return Replay(graph, result)


def check_device(device: torch.device) -> None:
    """Raise RuntimeError where a failure before has left the device unusable in this process."""
    torch.randn(2, device=device).sum().item()


def _replayed(call: Call) -> Call:
    """The replay of a CUDA graph of the call, or the call where no graph can hold it."""
    if waits(call):  # a size is read back, as in boolean indexing
        return call
    try:
        return captured(call)
    except CaptureFailed:
        check_device(torch.device("cuda"))
        return call


def peak_extra_mib(call: Call, device: torch.device) -> float | None:
    """Memory that a call takes at most beyond what was there before, its results included.

    On the CPU this is resident memory as Linux counts it, whoever allocates it; None elsewhere.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    gc.collect()
    try:
        # Gaps in the heap only ever add to it, and not each time.
        return min(_resident_extra_mib(call) for _ in range(2))
    except (OSError, AttributeError):
        return None


def _resident_extra_mib(call: Call) -> float:
    with _nothing_reused():
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
        before = _resident_peak_kib()
        call()
        return (_resident_peak_kib() - before) / 2**10


@contextmanager
def _nothing_reused() -> Iterator[None]:
    """Let glibc take every array from the system and give it back at once.

    Else arrays in pages that were freed and kept are not counted, and gaps between them are.
    Afterwards glibc keeps freed memory below 32 MiB, which is where its own rule arrives too when
    arrays come and go, but at a time that depends on what ran before.
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, SMALLEST_ARRAY)
    libc.malloc_trim(0)
    fillings = _fill_heap(libc)
    try:
        yield
    finally:
        for filling in fillings:
            libc.free(filling)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 25)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 26)


_MALLINFO = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class _Mallinfo(ctypes.Structure):
    """What glibc's `mallinfo2` tells of all heaps: bytes, and blocks that are no part of them."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO.split())


def _fill_heap(libc: ctypes.CDLL) -> list[ctypes.c_void_p]:
    """Blocks for all the room of the heap that could hold an array; their pages are not touched.

    What is free in the midst of the heap goes before a block of its own, whatever the threshold,
    and stays resident when it is freed. A glibc before 2.33 does not tell where a block lies.
    """
    if not hasattr(libc, "mallinfo2"):
        return []
    libc.mallinfo2.restype = _Mallinfo
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    found: _Mallinfo = libc.mallinfo2()
    fillings: list[ctypes.c_void_p] = []
    size = found.fordblks
    while size >= SMALLEST_ARRAY:
        before, block = found, libc.malloc(size)
        found = libc.mallinfo2()
        if block and (found.arena, found.hblks) == (before.arena, before.hblks):
            fillings.append(block)
        else:
            libc.free(block)
            found = libc.mallinfo2()
            size //= 2
    return fillings


def _resident_peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
