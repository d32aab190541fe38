"""Work on a GPU, captured once and launched again as a whole: the only place that knows how.

torch's notes on CUDA graphs are followed to the letter: the work runs on a side stream first, so
that libraries, kernels and the optimizer have what they make once; it is captured on that stream
into a pool of its own; what it reads and writes lies where it lay.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

Work = Callable[[], None]


class NotCapturedError(Exception):
    """Why work cannot be captured; all that it touches is as it was before."""


def captured(work: Work, state: Iterable[Tensor], device: torch.device, cuda: Any = None) -> Work:
    """What launches `work` as one graph. Nothing has happened yet when this returns.

    `state` is what the work changes and reads again: it is put back after each trial, and so are
    the device's random numbers. The second trial must not wait for the GPU anywhere: work that
    waits is never captured, because a capture that fails leaves torch's generator, and the stream,
    in the middle of it.

    `cuda` stands for `torch.cuda` in tests. Raises NotCapturedError.
    """
    cuda = cuda or torch.cuda
    state = [*state]
    generator = cuda.default_generators[device.index or 0]
    kept, seeds = [value.clone() for value in state], generator.get_state()

    def put_back() -> None:
        with torch.no_grad():
            for value, before in zip(state, kept, strict=True):
                value.copy_(before)
        generator.set_state(seeds)

    side, current = cuda.Stream(device), cuda.current_stream(device)
    graph = cuda.CUDAGraph()
    gc.collect()  # a gradient's accumulator that outlived its step would belong to another stream
    side.wait_stream(current)
    try:
        with cuda.stream(side):
            try:
                work()
                put_back()
                _without_waiting(work, cuda)
                put_back()
                _capture(work, graph, side, generator, cuda)
            finally:
                put_back()
    except Exception as error:
        raise NotCapturedError(f"{type(error).__name__}: {_first_line(error)}") from error
    finally:
        current.wait_stream(side)
    launch: Work = graph.replay
    return launch


def _without_waiting(work: Work, cuda: Any) -> None:
    mode = cuda.get_sync_debug_mode()
    cuda.set_sync_debug_mode("error")
    try:
        work()
    finally:
        cuda.set_sync_debug_mode(mode)


def _capture(work: Work, graph: Any, side: Any, generator: Any, cuda: Any) -> None:
    spare = generator.clone_state()
    try:
        # thread_local: what other threads do meanwhile, a logger's or a loader's, is theirs
        with cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
            work()
    except BaseException:
        generator.graphsafe_set_state(spare)  # its own would wait for the end of the capture
        raise


def _first_line(error: Exception) -> str:
    lines: Sequence[str] = str(error).splitlines()
    return lines[0] if lines else "no reason given"
