"""What is typed as slurm.KEY=VALUE, as the options of sbatch that submitit writes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gbench.errors import UserError

if TYPE_CHECKING:
    import submitit

LEAVE_SECONDS = 90  # before its limit a job is told, to leave a checkpoint and queue again
REFUSED = {
    "nodes": "a run is one process on one node: trainer.devices=N is for several GPUs of it",
    "ntasks_per_node": "a run is one task, which starts its other processes itself: "
    "trainer.devices=N with slurm.gpus_per_node=N or slurm.cpus_per_task=N",
    "array_parallelism": "jobs=N says how many jobs are in the queue at once",
    "additional_parameters": "name each option by itself, slurm.KEY=VALUE",
}
TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")
ENDLESS = ("infinite", "unlimited")


def make_submitter(folder: Path, settings: Mapping[str, str]) -> submitit.Executor:
    """Submitit's executor with these options of sbatch.

    Raises UserError for an option that is unknown, malformed or not for gbench, and where there is
    no Slurm.
    """
    try:
        import submitit
    except ImportError:
        raise UserError("executor=slurm needs submitit: pip install 'gbench[slurm]'") from None
    try:
        submitter = submitit.SlurmExecutor(folder / "%j")
    except RuntimeError:
        raise UserError("executor=slurm: there is no srun here; type it on a login node") from None
    for key, why in REFUSED.items():
        if settings.get(key, "1") != "1":
            raise UserError(f"slurm.{key}={settings[key]}: {why}")
    seconds = time_seconds(settings["time"]) if "time" in settings else None
    # without a time it is the partition's own; submitit's would be 5 minutes
    usual: dict[str, Any] = {"job_name": "gbench", "time": None, "wckey": None}
    if seconds is not None:
        usual["signal_delay_s"] = min(LEAVE_SECONDS, seconds // 3)
    if "cpus_per_task" in settings:  # which srun no longer takes from sbatch
        usual["srun_args"] = [f"--cpus-per-task={settings['cpus_per_task']}"]
    values = {key: _value(key, text) for key, text in settings.items() if key not in REFUSED}
    if "srun_args" in usual and "srun_args" in values:
        values["srun_args"] = [*usual["srun_args"], *values["srun_args"]]
    values["additional_parameters"] = {"requeue": True}
    try:
        submitter.update_parameters(**{**usual, **values})
    except (ValueError, TypeError) as error:
        raise UserError(f"slurm.{'=… slurm.'.join(settings)}=…: {first_line(error)}") from error
    return submitter


def time_seconds(text: str) -> int | None:
    """The seconds of a time as sbatch takes it; None for one without end.

    `120` (minutes), `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM`, `D-HH:MM:SS`, infinite. Raises
    UserError for anything else.
    """
    if text.lower() in (*ENDLESS, "0"):
        return None
    found = TIME.fullmatch(text)
    if found is None:
        raise UserError(
            f"slurm.time={text}: expected minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS"
        )
    parts = [int(part) for part in found.group("first", "second", "third") if part is not None]
    if found["days"] is not None:
        hours, minutes, seconds = [*parts, 0, 0][:3]
        return ((int(found["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
    hours, minutes, seconds = parts if len(parts) == 3 else (0, *parts, 0)[:3]
    return (hours * 60 + minutes) * 60 + seconds


def first_line(error: Exception) -> str:
    """What an exception says, without the rest."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _value(key: str, text: str) -> Any:
    if key == "time":
        return text
    if key in ("setup", "teardown"):
        return [text]
    if key == "srun_args":
        return shlex.split(text)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.isdecimal() else text
