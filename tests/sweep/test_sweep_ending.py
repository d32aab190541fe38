"""A forked process ends as Python does: threads come to their end, then what atexit was given."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENDING = """
import atexit, os, sys, time
from concurrent.futures import ThreadPoolExecutor

from gbench.sweep import ending

if missing := sys.argv[1]:
    assert getattr(ending, missing)
    setattr(ending, missing, None)
atexit.register(lambda: os.write(1, b"atexit"))
ThreadPoolExecutor(1).submit(lambda: (time.sleep(0.2), os.write(1, b"thread ")))
print("said", end=" ")
ending.end()
print("never")
"""


@pytest.mark.parametrize("missing", ["", "_end_threads", "_run_atexit"])
def test_threads_then_atexit(missing: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDING, missing], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "said thread atexit"
