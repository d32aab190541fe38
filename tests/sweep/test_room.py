"""jobs=auto: as many runs on each GPU as the memory of the first one says."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gbench.config.compose import Config
from gbench.sweep.job import Job
from gbench.sweep.local import Local
from gbench.sweep.process import Process
from gbench.sweep.room import Taken, runs_on_each, taken_here, told

GIB = 2**30


@pytest.mark.parametrize(
    ("used", "total", "devices", "cores", "each"),
    [
        (2, 80, 1, 64, 36),  # a tenth stays free
        (2, 80, 1, 16, 16),
        (2, 80, 4, 16, 4),
        (30, 80, 1, 64, 2),
        (70, 80, 1, 64, 1),
        (80, 80, 1, 64, 1),
        (2, 80, 4, 2, 1),
    ],
)
def test_how_many_fit(used: int, total: int, devices: int, cores: int, each: int) -> None:
    taken = Taken(used * GIB, total * GIB)
    assert runs_on_each(taken, devices, cores) == each
    assert each == 1 or each * used <= 0.9 * total


def test_it_is_told_in_one_line() -> None:
    taken = Taken(3 * GIB // 2, 80 * GIB)
    sentence = "jobs=auto: a run takes 1.5 of a GPU's 80.0 GiB: 8 on each of 2, one for each core"
    assert told(taken, 2, 16) == sentence
    assert told(taken, 1, 64) == "jobs=auto: a run takes 1.5 of a GPU's 80.0 GiB: 48 on it"


def test_what_is_in_use_counts_whoever_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    here = SimpleNamespace(is_initialized=lambda: True, mem_get_info=lambda: (70 * GIB, 80 * GIB))
    monkeypatch.setattr(torch, "cuda", here)
    assert taken_here() == (10 * GIB, 80 * GIB)
    here.is_initialized = lambda: False
    assert taken_here() is None


def test_the_first_end_makes_room_and_later_ones_change_nothing(
    configs: Callable[[int], list[Config]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gbench.sweep.local.num_cores", lambda: 16)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    given: list[tuple[str | None, int]] = []
    executor = Local(configs(1), "auto")
    held: list[socket.socket] = []  # the other ends of the channels
    monkeypatch.setattr(executor, "_request", lambda channel, _: held.append(channel.dup()))

    def give(process: Process, key: int, job: Job) -> None:
        process.key = key
        given.append((job.device, job.threads))

    monkeypatch.setattr(Process, "give", give)
    (config,) = configs(1)
    assert executor.slots == 2
    for key in range(2):
        executor.start(key, config, Path())
    first, second = executor.running
    end = {"kind": "end", "state": "failed", "stays": False, "taken": [5 * GIB, 80 * GIB]}
    first.end, first.is_gone = end, True
    assert [message["kind"] for _, message in executor.wait(0)] == ["end"]
    assert executor.slots == 2  # what failed may have begun to take
    executor.start(0, config, Path())
    second.end, second.is_gone = {**end, "state": "finished", "taken": [25 * GIB, 80 * GIB]}, True
    assert executor.wait(0) == [
        (1, {"kind": "room", "said": told(Taken(25 * GIB, 80 * GIB), 2, 16)}),
        (1, {"kind": "end", "state": "finished"}),
    ]
    assert executor.slots == 4
    for key in range(1, 4):
        executor.start(key, config, Path())
    assert given == [("4", 8), ("5", 8), ("4", 8), ("5", 4), ("4", 4), ("5", 4)]
    executor.running[0].end, executor.running[0].is_gone = {**end, "state": "finished"}, True
    assert [message["kind"] for _, message in executor.wait(0)] == ["end"]
    assert executor.slots == 4
    executor.close()


def test_without_a_gpu_it_is_one_for_each_core(
    configs: Callable[[int], list[Config]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gbench.sweep.local.num_cores", lambda: 16)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert Local(configs(1), "auto").slots == Local(configs(1), None).slots == 16
