"""What Slurm does to a job, and what becomes of its point; Slurm's own words are pretended here."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gbench.config.compose import Config
from gbench.errors import UserError
from gbench.sweep import slurm, slurm_job, slurm_queue
from gbench.sweep.job import Job
from gbench.sweep.points import run_folder
from gbench.sweep.remote import Posted, Remote
from gbench.sweep.slurm import Slurm
from gbench.sweep.slurm_job import SlurmJob
from gbench.sweep.slurm_options import make_submitter, time_seconds
from gbench.sweep.slurm_queue import Queue

submitit = pytest.importorskip("submitit")
Configs = Callable[[int], list[Config]]
Seen = list[tuple[int, dict[str, Any]]]


class Cluster:
    """What sbatch, squeue, scancel, sacct and scontrol would say and hear."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states: dict[str, tuple[str, str]] = {}
        self.answers = True  # squeue does
        self.full_at = 1000  # jobs
        self.cancelled: list[list[str]] = []

    def submit(self, work: Any) -> Any:
        if len(self.states) >= self.full_at:
            raise RuntimeError("sbatch: error: QOSMaxSubmitJobPerUserLimit\nmore of it")
        job = submitit.SlurmJob(self.folder / "%j", str(len(self.states) + 1))
        job.paths.folder.mkdir(parents=True)
        self.states[job.job_id] = ("PENDING", "Priority")
        return job

    def leave(self, job_id: str, outcome: str, result: Any) -> None:
        (self.folder / job_id / f"{job_id}_0_result.pkl").write_bytes(
            pickle.dumps((outcome, result))
        )


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    pretended = Cluster(tmp_path / "runs" / ".slurm")

    def look(queue: Queue) -> None:
        if pretended.answers:
            queue.jobs, queue.as_of = dict(pretended.states), time.monotonic()

    def cancel(job_ids: list[str], at_once: bool) -> None:
        pretended.cancelled.append(job_ids)
        for job_id in job_ids:
            pretended.states[job_id] = ("CANCELLED", "")

    monkeypatch.setattr(Queue, "look", look)
    monkeypatch.setattr(Queue, "now", look)
    monkeypatch.setattr(slurm_queue, "cancel", cancel)
    monkeypatch.setattr(slurm_queue, "_printed", lambda *command: "")
    monkeypatch.setattr(slurm, "RESULT_SECONDS", -1.0)
    monkeypatch.setattr("gbench.sweep.remote.LOOK_SECONDS", 0.0)
    monkeypatch.setattr(slurm, "make_submitter", lambda folder, settings: pretended)
    return pretended


@pytest.fixture
def executor(cluster: Cluster, configs: Configs) -> Iterator[Remote]:
    """With two points on their way, jobs 1 and 2."""
    points = configs(2)
    made = Remote(Slurm(points, {}), 2, "")
    for key, config in enumerate(points):
        made.start(key, config, run_folder(config))
    yield made
    made.close()


def test_a_job_that_is_queued_again_stays_the_same_point(
    executor: Remote, cluster: Cluster
) -> None:
    waits = {"kind": "pending", "reason": "Priority"}
    assert executor.wait(0) == [(0, {**waits, "job": "1"}), (1, {**waits, "job": "2"})]
    assert executor.wait(0) == []  # nothing new
    for state in ("RUNNING", "COMPLETING", "PENDING"):  # preempted, or at the end of its time
        cluster.states["1"] = (state, "BeginTime")
        heard = executor.wait(0)
    assert heard == [(0, {"kind": "pending", "reason": "BeginTime", "job": "1"})]
    cluster.leave("1", "success", {"kind": "end", "state": "finished"})
    assert executor.wait(0) == [(0, {"kind": "end", "state": "finished"})]
    assert len(executor.running) == 1
    executor.close()
    assert cluster.cancelled == [["2"]]  # nothing is left that nobody waits for
    assert not (cluster.folder / "1").exists()


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("FAILED", "job 1 ended with exit code 0 (FAILED): see "),
        ("OUT_OF_MEMORY", "job 1 wanted more memory than it was given: slurm.mem=… asks for more"),
        ("NODE_FAIL", "job 1 lost its node (NODE_FAIL): see "),
        ("CANCELLED", "job 1 was cancelled from outside (CANCELLED): see "),
        (None, "job 1 is gone without a result; Slurm no longer knows how it ended: see "),
    ],
)
def test_a_job_that_dies_is_told_with_its_reason_and_its_log(
    executor: Remote, cluster: Cluster, state: str | None, error: str
) -> None:
    log = cluster.folder / "1" / "1_0_log.err"
    log.write_text("\n".join(f"line {n}" for n in range(30)))
    if state is None:
        del cluster.states["1"]
    else:
        cluster.states["1"] = (state, "")
    (told,) = [message for key, message in executor.wait(0) if key == 0]
    assert told["state"] == "failed"
    assert told["again"]
    assert told["error"].startswith(error)
    assert told["error"].endswith(str(log))
    assert told["printed"].splitlines() == [f"line {n}" for n in range(10, 30)]


def test_a_killed_job_is_told_by_its_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    for printed in ("JobState=FAILED ExitCode=137:0 X=1", "JobState=FAILED ExitCode=0:9"):
        monkeypatch.setattr(slurm_queue, "_printed", lambda *command, said=printed: said)
        told = slurm_queue.cause("7", "FAILED")
        assert told == "job 7 was ended by SIGKILL: was the memory full? (FAILED)"


@pytest.mark.parametrize("state", ["TIMEOUT", "PREEMPTED"])
def test_a_job_that_slurm_ends_for_good_goes_on_in_another(
    executor: Remote, cluster: Cluster, configs: Configs, state: str
) -> None:
    (run_folder(configs(1)[0]) / "last.ckpt").touch()
    cluster.states["1"] = (state, "")
    (told,) = [message for key, message in executor.wait(0) if key == 0]
    assert (told["kind"], told["state"]) == ("end", "cut")


def test_a_job_told_to_leave_before_it_listens_goes_on_in_another_but_not_for_ever(
    cluster: Cluster, configs: Configs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config,) = configs(1)
    died = f"JobState=FAILED ExitCode={128 + signal.SIGUSR2}:0"
    monkeypatch.setattr(slurm_queue, "_printed", lambda *command: died)
    executor = Remote(Slurm([config], {}), 1, "")
    told = []
    for number in range(slurm_job.STUCK):
        executor.start(0, config, run_folder(config))
        cluster.states[str(number + 1)] = ("FAILED", "")
        told += [message for _, message in executor.wait(0)]
    assert [message["state"] for message in told] == ["cut", "cut", "failed"]
    assert "before an epoch had left a checkpoint" in told[-1]["error"]
    executor.start(0, config, run_folder(config))
    cluster.leave("4", "error", "File job_environment.py, in checkpoint_and_try_requeue\nTypeError")
    assert [message["state"] for _, message in executor.wait(0)] == ["cut"]


def test_stopping_cancels_all_at_once_and_asks_no_job_for_a_result(
    cluster: Cluster, configs: Configs
) -> None:
    points = configs(100)
    executor = Remote(Slurm(points, {}), 100, "")
    for key, config in enumerate(points):
        executor.start(key, config, run_folder(config))
    executor.stop()
    assert cluster.cancelled == [[str(n) for n in range(1, 101)]]
    heard = executor.wait(0)
    assert heard == [(key, {"kind": "end", "state": "interrupted"}) for key in range(100)]
    executor.close()
    assert len(cluster.cancelled) == 1
    assert [*cluster.folder.glob("*")] == []


def test_a_second_signal_waits_for_nobody(executor: Remote, cluster: Cluster) -> None:
    cluster.answers = False
    executor.stop()
    assert executor.wait(0) == []
    executor.kill()
    assert [message["state"] for _, message in executor.wait(0)] == ["interrupted"] * 2
    assert executor.running == []


def test_what_slurm_does_not_take_beside_others_waits_for_them(
    executor: Remote, cluster: Cluster, configs: Configs
) -> None:
    cluster.full_at = 2
    third = configs(3)[2]
    executor.start(2, third, run_folder(third))
    (told,) = [message for key, message in executor.wait(0) if key == 2]
    assert (told["state"], executor.slots) == ("refused", 2)
    assert told["error"].endswith("sbatch: error: QOSMaxSubmitJobPerUserLimit")
    for job in ("1", "2"):
        cluster.leave(job, "success", {"kind": "end", "state": "finished"})
    executor.wait(0)
    with pytest.raises(UserError, match="Slurm does not take the job"):
        executor.start(2, third, run_folder(third))


@pytest.fixture
def job(
    configs: Configs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[Path], Any]], Any]]:
    """Do this in a job of Slurm, of which there is only the environment."""
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    monkeypatch.setenv("SUBMITIT_FOLDER", str(tmp_path / "%j"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "9").mkdir()
    (config,) = configs(1)
    folder = run_folder(config)
    folder.mkdir(parents=True)
    before = {number: signal.getsignal(number) for number in (15, signal.SIGCONT, signal.SIGUSR2)}

    def run(work: Callable[[Path], Any]) -> Any:
        posted = Posted(Job(config, folder, 0, None), tmp_path / "letters", tmp_path, [])
        monkeypatch.setattr(Posted, "__call__", lambda self: work(folder))
        return SlurmJob(posted)()

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str | None], list[str]]:
    """What commands of Slurm print, and which were typed."""
    answers: dict[str, str | None] = {"squeue": "RUNNING", "scontrol": ""}
    typed: list[str] = []

    def say(*command: str) -> str | None:
        typed.append(" ".join(command[:2]))
        return answers[command[0]]

    monkeypatch.setattr(slurm_job, "_said", say)
    return answers, typed


def trains_until(number: int, leaves: bool = True) -> Callable[[Path], Any]:
    def work(folder: Path) -> None:
        if leaves:
            (folder / "last.ckpt").touch()
        os.kill(os.getpid(), number)
        time.sleep(60)

    return work


@pytest.mark.parametrize(
    ("number", "state", "queued_again"),
    [
        (signal.SIGUSR2, "RUNNING", True),  # its time is up
        (signal.SIGTERM, "RUNNING", True),  # preempted, with time to leave
        (signal.SIGTERM, "COMPLETING", False),  # Slurm does it itself, or has cancelled it
    ],
)
def test_a_job_told_to_leave_is_queued_again_and_leaves_no_result(
    job: Any, said: Any, number: int, state: str, queued_again: bool
) -> None:
    answers, typed = said
    answers["squeue"] = state
    with pytest.raises(SystemExit):
        job(trains_until(number))
    assert ("scontrol requeue" in typed) == queued_again


def test_a_job_that_may_not_be_queued_again_says_so(job: Any, said: Any) -> None:
    said[0]["scontrol"] = None
    assert job(trains_until(signal.SIGUSR2)) == slurm_job.CUT


def test_a_job_that_never_gets_further_is_not_queued_for_ever(job: Any, said: Any) -> None:
    for _ in range(slurm_job.STUCK - 1):
        with pytest.raises(SystemExit):
            job(trains_until(signal.SIGUSR2, leaves=False))
    told = job(trains_until(signal.SIGUSR2, leaves=False))
    assert told["state"] == "failed"
    assert "reached its time limit before an epoch had left a checkpoint" in told["error"]


def test_how_a_job_ended_by_itself_is_told(job: Any, said: Any) -> None:
    assert job(lambda folder: {"kind": "end", "state": "finished"})["state"] == "finished"
    assert said[1] == []


@pytest.mark.parametrize(
    ("variables", "cores"),
    [
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_PER_TASK": "1", "SLURM_CPUS_ON_NODE": "8"}, 1),
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "2"}, 2),
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "9999"}, 4),
        ({"SLURM_CPUS_ON_NODE": "1"}, 4),
        ({}, 4),
    ],
)
def test_cores_are_those_of_the_job(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], cores: int
) -> None:
    from gbench.parallel import num_cores

    for name in ("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    assert num_cores() == cores


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 7200),
        ("5:30", 330),
        ("00:02:00", 120),
        ("2-3", 51 * 3600),
        ("1-02:30", 26.5 * 3600),
        ("1-00:00:01", 86401),
        ("UNLIMITED", None),
    ],
)
def test_times_are_those_of_sbatch(text: str, seconds: float | None) -> None:
    assert time_seconds(text) == seconds


@pytest.mark.parametrize("text", ["2h", "", "1:2:3:4", "-5", "1-", "1.5", "1 day"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=f"slurm.time={text}: expected minutes, MM:SS"):
        time_seconds(text)


def script(tmp_path: Path, **settings: str) -> list[str]:
    text: str = make_submitter(tmp_path, settings)._make_submission_file_text("python", "x")
    return text.splitlines()


def test_options_are_those_of_sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", lambda executor: -1)
    with pytest.raises(UserError, match="there is no srun here"):
        make_submitter(tmp_path, {})
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", lambda executor: 1)
    lines = script(tmp_path, partition="gpu", time="00:02:00", gpus_per_node="1", nodes="1")
    assert {"#SBATCH --partition=gpu", "#SBATCH --time=00:02:00", "#SBATCH --requeue"} <= {*lines}
    assert {"#SBATCH --gpus-per-node=1", "#SBATCH --signal=USR2@40"} <= {*lines}
    lines = script(tmp_path, cpus_per_task="4", exclusive="true")
    assert not [line for line in lines if "--time" in line]  # the partition's own
    assert {"#SBATCH --exclusive", "#SBATCH --signal=USR2@90"} <= {*lines}
    assert "--cpus-per-task=4" in next(line for line in lines if line.startswith("srun"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partion": "gpu"}, r"slurm\.partion=…: Unavailable parameter.*'partion'"),
        ({"nodes": "2"}, r"slurm\.nodes=2: a run is one process on one node"),
        ({"ntasks_per_node": "2"}, r"slurm\.ntasks_per_node=2: a run is one task.*devices=N"),
        ({"time": "soon"}, r"slurm\.time=soon: expected minutes"),
    ],
)
def test_what_gbench_cannot_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], message: str
) -> None:
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", lambda executor: 1)
    with pytest.raises(UserError, match=message):
        make_submitter(tmp_path, settings)
