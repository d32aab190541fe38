"""Points as submitit's jobs, here in submitit's local executor: finished, failing, killed.

What Slurm itself does is in test_slurm_states.py, and in tests/companions with a real one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from gbench.config.compose import Config
from gbench.records import record as records
from gbench.sweep import engine, slurm, slurm_queue
from gbench.sweep.executor import make_executor
from gbench.sweep.points import run_folder
from gbench.sweep.remote import Remote
from gbench.sweep.slurm import Slurm
from gbench.sweep.slurm_queue import Queue
from gbench.sweep.words import Options

from .conftest import record_of

submitit = pytest.importorskip("submitit")
Configs = Callable[[int], list[Config]]

# What a job runs in place of a training: as its seed says.
WORK = """
import os, signal, sys, time

def run(config, folder, send):
    send({"kind": "progress", "epoch": 1, "of": 3, "best": 0.5})
    first = not (folder / "was-here").exists()
    (folder / "was-here").touch()
    if config["seed"] == 1:
        raise ValueError("it broke")
    if config["seed"] == 2 and first:
        os.kill(os.getpid(), signal.SIGKILL)
    if config["seed"] == 3:
        return {"kind": "end", "state": "failed", "error": "mend it", "again": False}
    os.rename(folder / "prepared.json", folder / "record.json")
    return {"kind": "end", "state": "finished"}
"""


def prepare(configs: Sequence[Config]) -> None:
    """Leave in each folder the record that its job will put in place."""
    for config in configs:
        folder = run_folder(config)
        folder.mkdir(parents=True)
        path = records.write(record_of(config, folder), folder)
        path.rename(folder / "prepared.json")


class LocalQueue(Queue):
    """Tells of processes of this machine as squeue would of jobs."""

    def look(self) -> None:
        self.as_of = time.monotonic()

    def state(self, job_id: str, since: float) -> tuple[str, str]:
        return ("FAILED" if process_state(job_id) == "Z" else "RUNNING"), ""


def process_state(job_id: str) -> str:
    try:
        return Path(f"/proc/{job_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.fixture
def local_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "work_of_jobs.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)

    def submitter(folder: Path, settings: object) -> object:
        executor = submitit.LocalExecutor(folder / "%j")
        executor.update_parameters(timeout_min=5)
        return executor

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(slurm, "make_submitter", submitter)
    monkeypatch.setattr(slurm, "RESULT_SECONDS", 0.5)
    monkeypatch.setattr(slurm, "Queue", LocalQueue)
    monkeypatch.setattr(slurm_queue, "cause", lambda id, state: f"job {id} ended ({state})")
    monkeypatch.setattr(
        engine,
        "make_executor",
        lambda configs, options: make_executor(configs, options, "work_of_jobs.run"),
    )


def test_jobs_that_finish_break_and_die(configs: Configs, local_jobs: None) -> None:
    points = configs(4)
    prepare(points)
    options = Options(executor="slurm", retries=1)
    outcomes = engine.run_all(points, options=options, console=Console(quiet=True))
    assert [o.state for o in outcomes] == ["finished", "failed", "finished", "failed"]
    said, _, log = outcomes[1].error.partition(": see ")
    assert said.endswith("broke: ValueError: it broke")
    assert "ValueError: it broke" in Path(log).read_text()
    assert "ValueError: it broke" in (outcomes[1].folder / "output.txt").read_text()
    assert outcomes[3].error == "mend it"
    assert [o.record.seed for o in outcomes if o.record] == [0, 2]
    # left are the logs of what failed: two attempts of seed 1, and seed 3
    runs = run_folder(points[0]).parent
    assert [*(runs / ".letters").glob("*")] == []
    left = [path for path in (runs / ".slurm").glob("*") if path.name.isdecimal()]
    assert len(left) == 3


def test_what_a_killed_job_says_of_itself(configs: Configs, local_jobs: None) -> None:
    (config,) = configs(3)[2:]
    prepare([config])
    executor = Remote(Slurm([config], {}), 1, "work_of_jobs.run")
    executor.start(7, config, run_folder(config))
    heard = []
    while not heard or heard[-1][1]["kind"] != "end":
        heard += executor.wait(0.05)
    assert [key for key, _ in heard] == [7] * len(heard)
    assert [message["kind"] for _, message in heard] == ["started", "progress", "end"]
    end = heard[-1][1]
    assert (end["state"], end["again"]) == ("failed", True)
    assert "ended (FAILED): see " in end["error"]
