"""Which of several processes this one is."""

from __future__ import annotations

import os


def helps_another_process() -> bool:
    """Whether this is not the first of the processes that train one run on several devices."""
    return int(os.environ.get("LOCAL_RANK", 0)) > 0
