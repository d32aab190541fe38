"""A point inside its Slurm job: when Slurm takes the machine away, it is queued again.

Slurm sends SIGUSR2 some time before the job's limit, and SIGTERM when the job is preempted or
cancelled. Either way the run leaves its checkpoint. Then the job leaves no result, so that whoever
waits for it goes on waiting: it is the same job of the same point that Slurm starts again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from gbench.parallel import num_cores
from gbench.records.folder import LAST
from gbench.sweep.job import Message
from gbench.sweep.remote import Posted, failed
from gbench.train.interrupt import Interrupted, stoppable

TOLD_TO_LEAVE = 128 + signal.SIGTERM
ANSWER_SECONDS = 60.0
STUCK = 3  # times in a row that a job reaches its limit without getting any further
CUT = {"kind": "end", "state": "cut"}  # submit it again, as the same point


class SlurmJob:
    """A point's work, as the job that submitit starts."""

    def __init__(self, work: Posted) -> None:
        self.work = work
        self.time_is_up = False

    def __call__(self) -> Message:
        """Do the work; returns how it ended, or leaves without a result."""
        for name in ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"):  # Lightning would queue it again
            os.environ.pop(name, None)
        work, checkpoint = self.work, self.work.job.folder / LAST
        if not os.environ.get("OMP_NUM_THREADS"):
            work = replace(work, job=replace(work.job, threads=num_cores()))
        before = written(checkpoint)
        try:
            with stoppable():
                signal.signal(signal.SIGUSR2, self._leave)
                message = work()
        except Interrupted:
            message = {"kind": "end", "state": "interrupted"}
        if message["state"] != "interrupted":
            return message
        for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        job_id = os.environ["SLURM_JOB_ID"]
        if self.time_is_up and _is_stuck(job_id, moved=written(checkpoint) != before):
            return failed(too_short(job_id))
        # still running: neither cancelled nor preempted, which Slurm would know of
        state = _said("squeue", "--noheader", "--jobs", job_id, "--format", "%T")
        if self.time_is_up or state == "RUNNING":
            print(f"job {job_id} is queued again", flush=True)
            if _said("scontrol", "requeue", job_id) is None:
                return CUT
        sys.exit(TOLD_TO_LEAVE)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self.time_is_up = True
        os.kill(os.getpid(), signal.SIGTERM)


def written(checkpoint: Path) -> int:
    """When the checkpoint was written, in nanoseconds of the clock of its disk; 0: never."""
    try:
        return checkpoint.stat().st_mtime_ns
    except OSError:
        return 0


def _is_stuck(job_id: str, moved: bool) -> bool:
    """Whether it is of no use to start the job again; counts in a file beside submitit's own."""
    count = Path(os.environ["SUBMITIT_FOLDER"].replace("%j", job_id)) / "stuck"
    times = 0 if moved else int(count.read_text() if count.exists() else 0) + 1
    count.write_text(str(times))
    return times >= STUCK


def too_short(job_id: str) -> str:
    """What became of a job that would not get any further if it were started again."""
    return (
        f"job {job_id} reached its time limit before an epoch had left a checkpoint: "
        "slurm.time=… asks for more"
    )


def _said(*command: str) -> str | None:
    """What a command of Slurm printed; None if it failed."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS)
        print(done.stderr, end="", file=sys.stderr, flush=True)
        return done.stdout.strip() if done.returncode == 0 else None
    return None
