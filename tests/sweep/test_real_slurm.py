"""Points as jobs of a real Slurm: at their limit, preempted, killed, stopped: five minutes."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gbench.config.compose import Config, compose
from gbench.errors import UserError
from gbench.records import record as records
from gbench.sweep import engine
from gbench.sweep.points import run_folder
from gbench.sweep.queued import Outcomes
from gbench.sweep.remote import Remote
from gbench.sweep.slurm import Slurm
from gbench.sweep.words import Options

from . import slurm_cluster
from .conftest import record_of
from .slurm_cluster import begin_again, jobs, said

# What a job runs in place of a training: it leaves a checkpoint and waits to be let on.
WORK = """
import os, time
from gbench.train.interrupt import Interrupted, stoppable

def run(config, folder, send):
    (folder / "last.ckpt").write_text(str(time.time_ns()))
    with (folder / "began").open("a") as file:
        print(os.getpid(), os.environ["SLURM_JOB_ID"], file=file)
    try:
        with stoppable():
            while not (folder.parent / "go-on").exists():
                time.sleep(0.05)
    except Interrupted:
        return {"kind": "end", "state": "interrupted"}
    os.rename(folder / "prepared.json", folder / "record.json")
    return {"kind": "end", "state": "finished"}
"""
SETTINGS = {"partition": "low"}

pytestmark = pytest.mark.companions


@pytest.fixture(scope="module", autouse=True)
def cluster(companions: None) -> Iterator[None]:
    """Of two cores, for two jobs at once."""
    pytest.importorskip("submitit", reason="needs submitit: pip install 'gbench[slurm]'")
    if reason := slurm_cluster.missing():
        pytest.skip(reason)
    with slurm_cluster.running():
        yield


class Sweep:
    """A sweep whose points run WORK, and what is done to them meanwhile."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "work_of_slurm.py").write_text(WORK)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        self.folder, self.monkeypatch = folder / "runs", monkeypatch
        self.printed = StringIO()

    def run(
        self,
        number: int,
        then: Callable[[int], object],
        retries: int = 0,
        **settings: str,
    ) -> Outcomes:
        """Run so many points; `then` is called again and again, with how often it has said yes."""
        config = compose(["model=gcn", "data=csbm", f"runs_dir={self.folder}"])
        points: list[Config] = [{**config, "seed": seed} for seed in range(number)]
        for point in points:
            folder = run_folder(point)
            folder.mkdir(parents=True)
            records.write(record_of(point, folder), folder).rename(folder / "prepared.json")
        steps = 0

        class Watched(Remote):
            def wait(self, seconds: float) -> list[tuple[int, dict[str, Any]]]:
                nonlocal steps
                begin_again()
                steps += bool(then(steps))
                return super().wait(seconds)

        executor = Watched(Slurm(points, {**SETTINGS, **settings}), number, "work_of_slurm.run")
        self.monkeypatch.setattr(engine, "make_executor", lambda configs, options: executor)
        console = Console(file=self.printed, width=300)
        return engine.run_all(points, options=Options(retries=retries), console=console)

    def began(self) -> list[str]:
        """A line for each time that a job began: its process and its id."""
        return [
            line for path in self.folder.glob("*/began") for line in path.read_text().splitlines()
        ]

    def go_on(self) -> None:
        (self.folder / "go-on").touch()

    @property
    def text(self) -> str:
        return self.printed.getvalue()


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    return Sweep(tmp_path, monkeypatch)


def all_finished(outcomes: Outcomes) -> bool:
    return [outcome.state for outcome in outcomes] == ["finished"] * len(outcomes)


def nothing_left() -> bool:
    slurm_cluster.wait_for(lambda: jobs() == [])
    return True


def again_and_again(sweep: Sweep, points: int, times: int, interrupt: Callable[[], object]) -> Any:
    """Interrupt all points so often, each time when all have begun again; then let them finish."""

    def then(step: int) -> bool:
        if len(sweep.began()) < points * (step + 1):
            return False
        if step == times:
            sweep.go_on()
        elif step < times:
            interrupt()
        return True

    return then


def test_a_preempted_job_stays_the_same_point(sweep: Sweep) -> None:
    def preempt() -> None:
        assert said("sbatch", "--partition=high", "-n", "2", "--output=/dev/null", "--wrap=sleep 1")

    outcomes = sweep.run(2, again_and_again(sweep, 2, 2, preempt))
    assert all_finished(outcomes)
    assert len(sweep.began()) == 6
    assert len({line.split()[1] for line in sweep.began()}) == 2  # jobs: none was submitted again
    assert "failed" not in sweep.text
    assert nothing_left()


def test_a_job_at_its_time_limit_stays_the_same_point(sweep: Sweep) -> None:
    outcomes = sweep.run(2, again_and_again(sweep, 2, 2, lambda: None), time="00:01:00")
    assert all_finished(outcomes), sweep.text
    assert len({line.split()[1] for line in sweep.began()}) == 2
    assert "failed" not in sweep.text
    assert nothing_left()
    assert [*(sweep.folder / ".slurm").glob("*")] == []
    assert [*(sweep.folder / ".letters").glob("*")] == []


def test_a_killed_job_is_told_without_accounting_and_tried_again(sweep: Sweep) -> None:
    def kill_one() -> None:
        os.kill(int(sweep.began()[0].split()[0]), signal.SIGKILL)

    def then(step: int) -> bool:
        if step == 0 and len(sweep.began()) == 2:
            kill_one()
            return True
        if step == 1 and len(sweep.began()) == 3:
            sweep.go_on()
            return True
        return False

    outcomes = sweep.run(2, then, retries=1)
    assert all_finished(outcomes)
    told = re.search(r"job \d+ was ended by SIGKILL.*see \S+_log\.err; it will", sweep.text)
    assert told is not None
    assert nothing_left()


def test_pending_jobs_are_shown_and_stopping_them_leaves_nothing(sweep: Sweep) -> None:
    shown: list[str] = []

    def then(step: int) -> bool:
        if step == 0 and len(jobs("--states=PENDING")) == 28 and len(sweep.began()) == 2:
            sweep.monkeypatch.setattr("gbench.sweep.table.STATUS_SECONDS", 0.0)
            shown.append(sweep.text)
            return True
        if step == 1 and "2 running · 28 pending" in sweep.text:
            os.kill(os.getpid(), signal.SIGTERM)
            return True
        return False

    outcomes = sweep.run(30, then)
    assert outcomes.stopped_by == signal.SIGTERM
    assert sorted(outcome.state for outcome in outcomes) == ["interrupted"] * 2 + ["waiting"] * 28
    assert nothing_left()


def test_a_second_signal_waits_for_nobody(sweep: Sweep) -> None:
    def then(step: int) -> bool:
        if step < 2 and len(sweep.began()) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            return True
        return False

    outcomes = sweep.run(1, then)
    assert outcomes.exit_code == 130
    assert nothing_left()


def test_what_slurm_refuses_is_the_users(sweep: Sweep) -> None:
    with pytest.raises(UserError, match=r"Slurm does not take the job: .*invalid partition"):
        sweep.run(1, lambda step: False, partition="gpux")
