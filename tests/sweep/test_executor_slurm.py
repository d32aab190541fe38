"""Points as submitit's jobs, here in submitit's local executor: finished, failing, killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from gbench.config import Config
from gbench.errors import UserError
from gbench.results import record as records
from gbench.sweep import engine, slurm
from gbench.sweep.executor import make_executor
from gbench.sweep.points import run_folder
from gbench.sweep.remote import Remote
from gbench.sweep.slurm import Slurm, make_submitter
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


@pytest.fixture
def local_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "work_of_jobs.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)

    def submitter(folder: Path, settings: object) -> object:
        executor = submitit.LocalExecutor(folder / "%j")
        executor.update_parameters(timeout_min=5)
        return executor

    monkeypatch.setattr(slurm, "make_submitter", submitter)
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
    _, _, log = outcomes[1].error.partition("could not begin: see ")
    assert "ValueError: it broke" in Path(log).read_text()
    assert outcomes[3].error == "mend it"
    assert [o.record.seed for o in outcomes if o.record] == [0, 2]
    for outcome in outcomes:
        assert [*outcome.folder.glob(".letters-*")] == []


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
    assert "ended without a result" in end["error"]


def test_a_job_is_queued_again_with_all_that_it_was() -> None:
    class Work:
        def __call__(self) -> dict[str, str]:
            return {"kind": "end", "state": "finished"}

    again = slurm.Requeued(Work()).checkpoint()  # type: ignore[arg-type]
    assert again.result() == {"kind": "end", "state": "finished"}


def test_options_are_those_of_sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="there is no srun here"):
        make_submitter(tmp_path, {})
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", lambda executor: 1)
    settings = {"partition": "gpu", "time": "90", "gpus_per_node": "1"}
    parameters = make_submitter(tmp_path, settings).parameters
    assert {**parameters, "partition": "gpu", "time": 90, "gpus_per_node": 1} == parameters
    with pytest.raises(UserError, match=r"slurm\.partion=…: Unavailable parameter.*'partion'"):
        make_submitter(tmp_path, {"partion": "gpu"})
