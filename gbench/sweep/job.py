"""A job as the process that does it is given it, and what that process says of it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gbench.config.compose import Config

Message = dict[str, Any]
Send = Callable[[Message], None]

RUN_POINT = "gbench.sweep.point.run_point"  # what a process calls, unless it is told another


@dataclass(frozen=True)
class Job:
    """What a point's process is given."""

    config: Config
    folder: Path
    threads: int  # of torch, on the CPU; 0: as many as it takes by itself
    device: str | None  # CUDA_VISIBLE_DEVICES; None: as it is
    runs: str = RUN_POINT  # the function that the process calls
    shares: bool = False  # its process may do another one after it: see sharing.py


def carry_out(job: Job, send: Send) -> Message:
    """Do the job in this process, which does nothing else meanwhile."""
    if job.device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = job.device
    if job.threads:
        import torch

        torch.set_num_threads(job.threads)
    # Lightning starts the other processes of a run on several devices with this command line
    sys.argv = ["gbench", "resume", str(job.folder.absolute())]
    sys.modules["__main__"].__spec__ = importlib.util.find_spec("gbench.__main__")
    module, _, name = job.runs.rpartition(".")
    message: Message = getattr(importlib.import_module(module), name)(job.config, job.folder, send)
    return message
