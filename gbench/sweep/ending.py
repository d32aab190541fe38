"""How a forked process ends, without the freeing of all that it shares with the fork server.

The interpreter's own end would free, and so copy, that memory: 2 s. What it does before is done
here by two private names: threads come to their end first, so that pools of processes close.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

_end_threads: Callable[[], None] | None = getattr(threading, "_shutdown", None)
_run_atexit: Callable[[], None] | None = getattr(atexit, "_run_exitfuncs", None)


def end() -> NoReturn:
    """End this process as Python would; where a name is missing, Python does."""
    sys.stdout.flush()
    if _end_threads is None or _run_atexit is None:
        sys.exit(0)
    _end_threads()
    _run_atexit()
    os._exit(0)
