"""Ctrl-C and a scheduler's SIGTERM end a run at once and leave it resumable."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """The run was told to stop. `exit_code` is what a shell expects of that signal."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise Interrupted on SIGINT and SIGTERM while the block runs.

    Python's own KeyboardInterrupt would be swallowed by Lightning, which then exits with code 1.
    Only the main thread hears signals: in another one nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signal_number: int, frame: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # a second one must not break the cleaning up
        raise Interrupted(signal_number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
