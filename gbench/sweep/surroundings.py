"""What surrounds a run in its process, set back before the next one: both then begin alike.

What a run seeds, sets or registers for the whole process is listed here, with how it is set back.
Threads that it started and children that go on running cannot be: a process that has such ends.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Part = tuple[Callable[[], Any], Callable[[Any], object]]  # how it is read, and set back
Logger = tuple[logging.Logger, int, list[Any], list[Any], bool, bool]
_SIGNALS = tuple(sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))


class Surroundings:
    """The process as it was when this was made."""

    def __init__(self) -> None:
        self.before = [read() for read, _ in PARTS]

    def set_back(self) -> None:
        """Make it so again, whatever came since."""
        for (read, put), before in zip(PARTS, self.before, strict=True):
            if not _same(read(), before):
                put(before)


def leaves_children() -> bool:
    """Whether processes that a run started are still there."""
    return bool(multiprocessing.active_children())


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def _environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _deterministic() -> tuple[bool, bool]:
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warns


def _anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


def _handlers() -> list[Any]:
    return [signal.getsignal(number) for number in _SIGNALS]


def _set_handlers(before: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, before, strict=True):
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _loggers() -> list[Logger]:
    known = logging.Logger.manager.loggerDict.values()
    loggers = [logging.root, *(each for each in known if isinstance(each, logging.Logger))]
    return [_told(each) for each in loggers]


def _told(logger: logging.Logger) -> Logger:
    handlers, filters = [*logger.handlers], [*logger.filters]
    return logger, logger.level, handlers, filters, logger.propagate, logger.disabled


def _set_loggers(before: list[Logger]) -> None:
    for told in before:
        logger, level, handlers, filters, propagate, disabled = told
        if _told(logger) != told:
            logger.setLevel(level)
            logger.handlers[:], logger.filters[:] = handlers, filters
            logger.propagate, logger.disabled = propagate, disabled


def _warning_filters(before: list[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]
    warnings.simplefilter("ignore")  # lets Python forget which warnings it has shown
    del warnings.filters[0]  # type: ignore[attr-defined]


def _path(before: list[str]) -> None:
    sys.path[:] = before


PARTS: tuple[Part, ...] = (
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (torch.get_rng_state, torch.set_rng_state),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (_deterministic, lambda on: torch.use_deterministic_algorithms(on[0], warn_only=on[1])),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (
        lambda: torch.backends.cudnn.benchmark,
        lambda on: setattr(torch.backends.cudnn, "benchmark", on),
    ),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (_anomaly, lambda on: torch.autograd.set_detect_anomaly(*on)),
    (lambda: dict(os.environ), _environment),
    (os.getcwd, os.chdir),
    (lambda: [*sys.path], _path),
    (lambda: [*warnings.filters], _warning_filters),
    (_loggers, _set_loggers),
    (_handlers, _set_handlers),
)
