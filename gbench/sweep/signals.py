"""Ctrl-C and SIGTERM, for a loop that has children to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals_kept(signals: list[int]) -> Iterator[None]:
    """Append SIGINT and SIGTERM to the list while the block runs, for its loop to act upon.

    Only the main thread hears signals: in another one nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def keep(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, keep) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
