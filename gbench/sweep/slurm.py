"""Points as jobs of a Slurm cluster, through submitit.

`slurm.partition=gpu slurm.time=120 slurm.gpus_per_node=1` are sbatch's own options as submitit
names them. A job that is preempted or at the end of its time is queued again and goes on from its
checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.config import Config
from gbench.errors import UserError
from gbench.sweep.fork_server import Message
from gbench.sweep.remote import Posted, failed

if TYPE_CHECKING:
    import submitit

FOLDER = ".slurm"  # below the runs folder: submitit's own files


class Slurm:
    """A cluster for gbench/sweep/remote.py."""

    def __init__(self, configs: Sequence[Config], settings: Mapping[str, str]) -> None:
        folder = Path(configs[0]["runs_dir"]).absolute() / FOLDER
        self.submitter = make_submitter(folder, settings)

    def submit(self, work: Posted) -> submitit.Job[Message]:
        """Queue the job."""
        try:
            return self.submitter.submit(Requeued(work))
        except Exception as error:  # submitit's own, of what sbatch said
            raise UserError(f"Slurm does not take the job: {_first_line(error)}") from error

    def ended(self, handle: submitit.Job[Message]) -> Message | None:
        """How the job ended; a job that is gone without a result ended by its state in Slurm."""
        if not handle.done():
            return None
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            message: Message = handle.result()
        except FailedJobError:
            return failed(f"job {handle.job_id} could not begin: see {handle.paths.stderr}")
        except UncompletedJobError:
            return failed(f"job {handle.job_id} ended without a result: {handle.state}")
        return message

    def cancel(self, handle: submitit.Job[Message], at_once: bool) -> None:
        """Slurm tells the job to stop, and kills it half a minute later if it has not."""
        handle.cancel(check=False)

    def close(self) -> None:
        """Jobs that still run belong to Slurm."""


class Requeued:
    """A job that goes on from its checkpoint when Slurm takes the machine away."""

    def __init__(self, work: Posted) -> None:
        self.work = work

    def __call__(self) -> Message:
        """Do the work."""
        return self.work()

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """What submitit queues in its place."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def make_submitter(folder: Path, settings: Mapping[str, str]) -> submitit.Executor:
    """Submitit's executor with these options of sbatch."""
    try:
        import submitit
    except ImportError:
        raise UserError("executor=slurm needs submitit: pip install 'gbench[slurm]'") from None
    try:
        submitter = submitit.SlurmExecutor(folder / "%j")
    except RuntimeError:
        raise UserError("executor=slurm: there is no srun here; type it on a login node") from None
    values = {key: int(value) if value.isdecimal() else value for key, value in settings.items()}
    try:
        submitter.update_parameters(job_name="gbench", **values)
    except (ValueError, TypeError) as error:
        raise UserError(f"slurm.{'=… slurm.'.join(settings)}=…: {_first_line(error)}") from error
    return submitter


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
