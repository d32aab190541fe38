"""The order in which work is tried, captured and put back, with what stands for torch.cuda."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gbench.train.cuda_graph import NotCapturedError, captured

DEVICE = torch.device("cuda", 0)


class Generator:
    """Torch's, whose state is a number here; while it is captured it cannot be read."""

    def __init__(self) -> None:
        self.state, self.is_capturing = 7, False

    def get_state(self) -> int:
        assert not self.is_capturing
        return self.state

    def set_state(self, state: int) -> None:
        assert not self.is_capturing
        self.state = state

    def clone_state(self) -> Generator:
        clone = Generator()
        clone.state = self.state
        return clone

    def graphsafe_set_state(self, other: Generator) -> None:
        self.state, self.is_capturing = other.state, other.is_capturing


class Device:
    """torch.cuda: streams that only have names, and a graph that keeps the work done within."""

    def __init__(self) -> None:
        self.default_generators = [Generator()]
        self.events: list[str] = []
        self.stream_now, self.debug, self.is_capturing = "current", 0, False
        self.work: Callable[[], object] = lambda: None

    def Stream(self, device: torch.device) -> Any:
        return SimpleNamespace(name="side", wait_stream=self.waits("side"))

    def current_stream(self, device: torch.device) -> Any:
        return SimpleNamespace(name="current", wait_stream=self.waits("current"))

    def waits(self, name: str) -> Callable[[Any], None]:
        return lambda other: self.events.append(f"{name} waits for {other.name}")

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        before, self.stream_now = self.stream_now, stream.name
        try:
            yield
        finally:
            self.stream_now = before

    def get_sync_debug_mode(self) -> int:
        return self.debug

    def set_sync_debug_mode(self, mode: int | str) -> None:
        self.debug = {"error": 2}.get(str(mode), 0)

    def CUDAGraph(self) -> Any:
        def replay() -> None:
            self.events.append("replay")
            self.work()

        return SimpleNamespace(replay=replay)

    @contextmanager
    def graph(self, graph: Any, *, stream: Any, capture_error_mode: str) -> Iterator[None]:
        assert (stream.name, capture_error_mode) == ("side", "thread_local")
        (generator,) = self.default_generators
        self.is_capturing = generator.is_capturing = True
        yield  # as torch's, what fails within leaves both in the capture
        self.is_capturing = generator.is_capturing = False


@pytest.fixture
def device() -> Device:
    return Device()


def test_nothing_has_happened_when_work_is_captured_and_it_happens_when_it_is_launched(
    device: Device,
) -> None:
    value, (generator,) = torch.zeros(2), device.default_generators
    seen = []

    def work() -> None:
        seen.append((device.stream_now, device.debug, device.is_capturing))
        if device.is_capturing:  # recorded, not done
            device.work = partial(value.add_, 1)
            return
        value.add_(1)
        generator.state += 1

    launch = captured(work, [value], DEVICE, device)
    assert seen == [("side", 0, False), ("side", 2, False), ("side", 0, True)]
    assert (value.tolist(), generator.state) == ([0.0, 0.0], 7)
    assert device.events == ["side waits for current", "current waits for side"]
    assert (device.stream_now, device.debug) == ("current", 0)
    launch()
    launch()
    assert value.tolist() == [2.0, 2.0]


def test_work_that_waits_is_never_captured(device: Device) -> None:
    value, (generator,) = torch.zeros(()), device.default_generators

    def work() -> None:
        value.add_(1)
        generator.state += 1
        if device.debug:
            raise RuntimeError("called a synchronizing CUDA operation\nwith more lines")

    with pytest.raises(NotCapturedError, match="RuntimeError: called a synchronizing"):
        captured(work, [value], DEVICE, device)
    assert (value.item(), generator.state, device.is_capturing) == (0, 7, False)
    assert (device.stream_now, device.debug) == ("current", 0)
    assert device.events[-1] == "current waits for side"


def test_a_capture_that_fails_leaves_the_random_numbers_as_they_were(device: Device) -> None:
    (generator,) = device.default_generators

    def work() -> None:
        if device.is_capturing:
            raise RuntimeError("operation not permitted when stream is capturing")
        generator.state += 5

    with pytest.raises(NotCapturedError, match="not permitted"):
        captured(work, [], DEVICE, device)
    assert (generator.get_state(), device.stream_now) == (7, "current")
