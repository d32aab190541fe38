"""The clockwork of `gbench bench`, against clocks and allocations whose answer is known."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from gbench.bench import measure

CPU = torch.device("cpu")


def test_a_ratio_cancels_what_both_sides_suffered() -> None:
    noise = np.random.default_rng(0).uniform(1, 3, 25)  # a busy machine: each round differs
    found = measure.ratio(list(6 * noise), list(2 * noise))
    assert found == pytest.approx((3, 3, 3))


def test_the_interval_holds_the_middle_and_widens_with_the_scatter() -> None:
    generator = np.random.default_rng(0)
    ours = [1.0] * 31
    calm = measure.ratio(list(generator.normal(4, 0.05, 31)), ours)
    wild = measure.ratio(list(generator.normal(4, 1, 31)), ours)
    for found in (calm, wild):
        assert found.low <= found.middle <= found.high
        assert found.low < 4 < found.high
    assert wild.high - wild.low > 5 * (calm.high - calm.low)


def test_turns_are_fair_and_seconds_are_those_of_one_call(monkeypatch) -> None:
    now, made = [0.0], []
    monkeypatch.setattr(measure.time, "process_time", lambda: now[0])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)

    def call(name: str, seconds: float) -> None:
        made.append(name)
        now[0] += seconds

    calls = {"slow": lambda: call("slow", 0.5), "fast": lambda: call("fast", 0.001)}
    samples = measure.by_turns(calls, CPU, measure.Budget(seconds=0.0, min_rounds=6))
    assert samples["slow"] == pytest.approx([0.5] * 6)
    assert samples["fast"] == pytest.approx([0.001] * 6)
    # two calls to find out, then per round one slow and as many fast ones as make 5 ms
    rounds = made[made.index("fast") + 2 :]
    turn = ["slow", *["fast"] * 5]
    other_turn = [*["fast"] * 5, "slow"]
    assert rounds == [*turn, *other_turn] * 3


def test_the_floor_moves_as_many_bytes_as_it_says() -> None:
    copied = measure.copying(1000, CPU)()
    assert isinstance(copied, torch.Tensor)
    assert 2 * copied.nbytes == 1000


@pytest.fixture
def holes() -> Iterator[None]:
    """Room of 55 MiB at eight places in the midst of glibc's heap, as a long run may leave it."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    libc.mallopt(measure.M_MMAP_THRESHOLD, 1 << 25)
    free, kept = [], []
    for _ in range(8):
        free += [libc.malloc(11 << 20) for _ in range(5)]
        kept.append(libc.malloc(1 << 20))
    for block in free:
        libc.free(block)
    yield
    for block in kept:
        libc.free(block)


@pytest.mark.skipif(sys.platform != "linux", reason="counts resident memory as Linux tells it")
@pytest.mark.usefixtures("holes")
def test_peak_memory_counts_what_is_gone_when_the_call_returns() -> None:
    def call() -> None:
        first = torch.ones(50 << 20, dtype=torch.uint8)
        del first
        second, third = (torch.ones(30 << 20, dtype=torch.uint8) for _ in range(2))
        del second, third

    # a thread that another test left in this process may take memory of its own meanwhile, and
    # the system takes pages
    found = sorted(measure.peak_extra_mib(call, CPU) or 0 for _ in range(3))
    assert 59 < found[1] < 65
