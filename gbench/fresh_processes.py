"""Processes that start anew, not as a fork, and do not run the caller's script again."""

from __future__ import annotations

import sys
import threading
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType

_SWAP = threading.Lock()


class _Process(SpawnProcess):
    """A process that is told of no main module.

    Python's own spawning executes the script once more in each new process, so that a script which
    calls gbench outside of `if __name__ == "__main__"` would begin again and again. What is sent to
    these processes lies in gbench and in packages, never in that script.
    """

    def start(self) -> None:
        with _SWAP:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                super().start()
            finally:
                sys.modules["__main__"] = main


class FreshProcesses(SpawnContext):
    """What a pool takes as its `mp_context`."""

    Process = _Process
