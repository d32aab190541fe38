"""Points as jobs of a Slurm cluster, through submitit.

`slurm.partition=gpu slurm.time=2:00:00 slurm.gpus_per_node=1` are sbatch's own options with
underscores; without a time it is the partition's. A job that is preempted or at the end of its time
is queued again by Slurm and goes on from its checkpoint, as the same point. Its log is kept below
the runs folder, in .slurm/, unless it finishes.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.config.compose import Config
from gbench.errors import UserError
from gbench.records.folder import LAST
from gbench.sweep import slurm_queue
from gbench.sweep.job import Message
from gbench.sweep.remote import Posted, failed
from gbench.sweep.slurm_job import CUT, STUCK, SlurmJob, too_short, written
from gbench.sweep.slurm_options import first_line, make_submitter
from gbench.sweep.slurm_queue import ALIVE, GONE, WAITING, Queue

if TYPE_CHECKING:
    import submitit

FOLDER = ".slurm"  # below the runs folder: submitit's own files
RESULT_SECONDS = 5.0  # until a result is seen here that a job on another machine wrote
KEPT_DAYS = 30  # of what jobs left that nobody waited for
PRINTED_LINES = 20  # of a failed job's log are kept in the run's folder


@dataclass(eq=False)
class Job:
    """A point's job in Slurm, as seen from here."""

    submitted: submitit.Job[Message] = field(repr=False)  # its own asks sacct
    checkpoint: Path
    before: int  # when the checkpoint had been written, as the job was submitted
    at: float = field(default_factory=time.monotonic)
    told: tuple[bool, str] = (False, "")  # whether it waits, and why, as was told last
    cancelled: bool = False
    over_at: float | None = None  # monotonic: since when it seems to be over

    @property
    def id(self) -> str:
        return str(self.submitted.job_id)

    @property
    def folder(self) -> Path:
        return Path(self.submitted.paths.folder)

    @property
    def log(self) -> Path:
        return Path(self.submitted.paths.stderr)


class Slurm:
    """A cluster for gbench/sweep/remote.py."""

    def __init__(self, configs: Sequence[Config], settings: Mapping[str, str]) -> None:
        self.folder = Path(configs[0]["runs_dir"]).absolute() / FOLDER
        self.submitter = make_submitter(self.folder, settings)
        self.queue = Queue()
        self.jobs: dict[str, Job] = {}  # that are not over, by id
        self.over: dict[str, Job] = {}
        self.stuck: Counter[Path] = Counter()  # limits in a row without a new checkpoint

    def submit(self, work: Posted) -> Job:
        """Queue the job."""
        checkpoint = work.job.folder / LAST
        before = written(checkpoint)
        try:
            submitted = self.submitter.submit(SlurmJob(work))
        except Exception as error:  # submitit's own, of what sbatch said
            raise UserError(f"Slurm does not take the job: {first_line(error)}") from error
        job = Job(submitted, checkpoint, before)
        self.jobs[job.id] = job
        self.queue.soon()
        return job

    def heard(self, job: Job) -> Message | None:
        """That it waits and why, or how it ended; None if there is nothing new."""
        self.queue.look()
        message = _result(job)
        if message is None:
            state, reason = self.queue.state(job.id, job.at)
            if not state or state in ALIVE:
                job.over_at, job.told = None, (False, "")
            elif state in WAITING:
                if job.told != (True, reason):
                    job.told = (True, reason)
                    return {"kind": "pending", "reason": reason, "job": job.id}
            elif _seems_over(job, state):
                message = self._end(job, state)
        if message is not None:
            self.over[job.id] = self.jobs.pop(job.id)
            if message["state"] == "failed":
                message["printed"] = _last_lines(job.log)
            else:  # nobody needs the logs of this job, nor of those that failed before it
                for other in self.over.values():
                    if other.checkpoint == job.checkpoint:
                        shutil.rmtree(other.folder, ignore_errors=True)
        return message

    def cancel(self, jobs: Sequence[Job], at_once: bool) -> None:
        """Slurm tells them to stop, and kills them half a minute later if they have not; or now."""
        for job in jobs:
            job.cancelled = True
        slurm_queue.cancel([job.id for job in jobs], at_once)
        self.queue.soon()

    def close(self) -> None:
        """Leave nothing in Slurm that nobody waits for."""
        if self.jobs:
            self.cancel([*self.jobs.values()], at_once=False)
        elif self.over:
            self.queue.now()
            again = [id for id in self.over if self.queue.jobs.get(id, ("",))[0] in WAITING]
            if again:  # told to queue again while they left their results
                slurm_queue.cancel(again, at_once=False)
        _clean(self.folder)

    def _end(self, job: Job, state: str) -> Message:
        if state == GONE:
            state = slurm_queue.last_state(job.id)
        if state == "CANCELLED" and job.cancelled:
            return {"kind": "end", "state": "interrupted"}
        if state == "FAILED" and slurm_queue.ended_by(job.id)[1] == signal.SIGUSR2:
            state = "TIMEOUT"  # told to leave before it could listen
        if state == "TIMEOUT":
            moved = written(job.checkpoint) != job.before
            self.stuck[job.checkpoint] = 0 if moved else self.stuck[job.checkpoint] + 1
            if self.stuck[job.checkpoint] >= STUCK:
                return failed(too_short(job.id))
        if state in ("TIMEOUT", "PREEMPTED"):
            return {**CUT, "error": slurm_queue.cause(job.id, state)}
        log = f": see {job.log}" if job.log.exists() else ""
        return failed(f"{slurm_queue.cause(job.id, state)}{log}")


def _result(job: Job) -> Message | None:
    """The message that the job left, if it has."""
    with suppress(OSError):  # has a network file system look again
        job.folder.chmod(job.folder.stat().st_mode)
    path = Path(job.submitted.paths.result_pickle)
    if not path.exists():
        return None
    from submitit.core.utils import pickle_load

    outcome, result = pickle_load(path)
    if outcome == "success":
        message: Message = result
        return message
    if "checkpoint_and_try_requeue" in result:  # told to leave as it began, of which submitit knew
        return {**CUT, "error": f"job {job.id} reached its time limit as it began"}
    return failed(f"job {job.id} broke: {result.strip().splitlines()[-1]}: see {job.log}")


def _seems_over(job: Job, state: str) -> bool:
    """Whether a job that left no result has had the time for it."""
    if state == "CANCELLED" and job.cancelled:
        return True
    now = time.monotonic()
    job.over_at = job.over_at or now
    return now - job.over_at > RESULT_SECONDS


def _last_lines(log: Path) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-PRINTED_LINES:])
    except OSError:
        return ""


def _clean(folder: Path) -> None:
    """Remove what nobody will read: of jobs that finished, and of those that are long past."""
    for path in folder.glob(".submission_file_*.sh"):
        if not path.exists():  # a link into the folder of a job
            path.unlink(missing_ok=True)
    for path in folder.glob("*"):
        with suppress(OSError):
            newest = max(entry.stat().st_mtime for entry in (path, *path.glob("*")))
            if time.time() - newest > KEPT_DAYS * 24 * 3600:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
