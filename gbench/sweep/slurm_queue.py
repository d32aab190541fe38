"""What Slurm says of its jobs: squeue for all at once, scontrol and sacct for one that is over.

squeue is asked now and then, and its answer is read when it has come: a controller that is slow
holds nothing up. A cluster without accounting has no sacct; none is needed while the controller
remembers the job, as long as its MinJobAge says.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

SOONEST, LATEST = 1.0, 15.0  # seconds between two questions, more and more
PATIENCE = 60.0  # for an answer
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
ALIVE = ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "RESIZING",
         "SIGNALING", "STAGE_OUT")  # fmt: skip
GONE = "GONE"  # neither squeue nor sacct knows of it

CAUSES = {
    "BOOT_FAIL": "lost its node, which did not boot",
    "CANCELLED": "was cancelled from outside",
    "COMPLETED": "ended without a result",
    "DEADLINE": "came to its deadline",
    "NODE_FAIL": "lost its node",
    "OUT_OF_MEMORY": "wanted more memory than it was given: slurm.mem=… asks for more",
    "PREEMPTED": "was preempted",
    "TIMEOUT": "reached its time limit: slurm.time=… asks for more",
    GONE: "is gone without a result; Slurm no longer knows how it ended",
}


class Queue:
    """The user's jobs as squeue told them last."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[str, str]] = {}  # by id: state, and why it waits
        self.as_of = float("-inf")  # monotonic: when that was asked
        self.asking: subprocess.Popen[str] | None = None
        self.soon()

    def soon(self) -> None:
        """Something has changed: ask often for a while."""
        self.pause, self.due = SOONEST, 0.0

    def look(self) -> None:
        """Ask if it is time to, and read the answer if it is there."""
        now = time.monotonic()
        if self.asking is None:
            if now >= self.due:
                self.asked, self.due = now, now + self.pause
                self.answer = tempfile.TemporaryFile("w+")  # noqa: SIM115
                with suppress(OSError):
                    self.asking = _ask(self.answer)
        elif self.asking.poll() is not None:
            self._read(self.asking.returncode)
        elif now - self.asked > PATIENCE:
            self.asking.kill()

    def now(self) -> None:
        """Ask, and wait for the answer."""
        self.due = 0.0
        self.look()
        while self.asking is not None:
            time.sleep(0.02)
            self.look()

    def state(self, job_id: str, since: float) -> tuple[str, str]:
        """State and reason of a job submitted at `since`; an empty state: nothing is known yet."""
        if self.as_of < since:
            return "", ""
        return self.jobs.get(job_id, (GONE, ""))

    def _read(self, code: int) -> None:
        with self.answer as file:
            file.seek(0)
            lines = [line.rstrip("\n").split("|") for line in file]
        if code == 0:
            self.jobs = {line[0]: (line[1], line[2]) for line in lines if len(line) == 3}
            self.as_of = self.asked
        self.asking, self.due = None, time.monotonic() + self.pause
        self.pause = min(1.5 * self.pause, LATEST)


def _ask(answer: IO[str]) -> subprocess.Popen[str]:
    command = ["squeue", "--noheader", "--states=all", f"--user={os.getuid()}"]
    # what a user sets for squeue's display would filter the answer
    own = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    return subprocess.Popen(
        [*command, "--format=%i|%T|%r"],
        stdin=subprocess.DEVNULL, stdout=answer, stderr=subprocess.DEVNULL, text=True, env=own,
    )  # fmt: skip


def cancel(job_ids: Sequence[str], at_once: bool) -> None:
    """Have Slurm end the jobs: those that run are told, and killed some time later, or now."""
    for options in (["--signal=KILL"], []) if at_once else ([],):
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["scancel", *options, *job_ids], capture_output=True, timeout=20)


def last_state(job_id: str) -> str:
    """How a job ended that squeue no longer tells, by the accounting, if there is any."""
    text = _printed("sacct", "--allocations", "--noheader", "--parsable2", "--format=State",
                    "--jobs", job_id)  # fmt: skip
    words = text.split()
    return words[0] if words else GONE


def cause(job_id: str, state: str) -> str:
    """How a job that left no result ended: `job 12 was killed by SIGKILL: was the memory full?`."""
    if state in CAUSES:
        return f"job {job_id} {CAUSES[state]} ({state})".removesuffix(f" ({GONE})")
    exit_code, number = ended_by(job_id)
    if number in {*signal.Signals}:
        hint = ": was the memory full?" if number == signal.SIGKILL else ""
        return f"job {job_id} was ended by {signal.Signals(number).name}{hint} ({state})"
    return f"job {job_id} ended with exit code {exit_code} ({state})"


def ended_by(job_id: str) -> tuple[int, int]:
    """Exit code and signal of a job that is over, as far as Slurm still knows."""
    code = re.search(r"\bExitCode=(\d+):(\d+)", _printed("scontrol", "show", "job", "-o", job_id))
    exit_code, number = (int(code[1]), int(code[2])) if code else (0, 0)
    return exit_code, number or max(exit_code - 128, 0)  # a shell's way to tell a signal


def _printed(*command: str) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return done.stdout if done.returncode == 0 else ""
    return ""
