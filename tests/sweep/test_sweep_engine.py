"""The queue: what is run, skipped, tried again, waited for and stopped."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gbench.config.compose import Config
from gbench.records import record as records
from gbench.sweep.points import run_folder
from gbench.sweep.queued import Outcomes

from .conftest import FINISHED, Pretend, record_of

Configs = Callable[[int], list[Config]]
CRASHED = {"kind": "end", "state": "failed", "error": "it crashed", "again": True}
MENDABLE = {"kind": "end", "state": "failed", "error": "mend it", "again": False}
BUSY = {"kind": "end", "state": "busy", "error": "is being trained"}
LOST = {"kind": "end", "state": "lost"}


def states(outcomes: Outcomes) -> list[str]:
    return [outcome.state for outcome in outcomes]


def leave_record(config: Config) -> None:
    folder = run_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    records.write(record_of(config, folder), folder)


def test_all_points_run_once_and_no_more_at_a_time_than_there_is_room(
    configs: Configs, pretend: Pretend
) -> None:
    outcomes, executor = pretend(configs(7), slots=3)
    assert executor.started == [*range(7)]
    assert executor.most_at_once == 3
    assert executor.closed
    assert states(outcomes) == ["finished"] * 7
    assert [o.record.seed for o in outcomes if o.record] == [*range(7)]
    assert outcomes.exit_code == 0


def test_what_has_finished_is_skipped_and_counted(configs: Configs, pretend: Pretend) -> None:
    for config in configs(5)[1:4]:
        leave_record(config)
    outcomes, executor = pretend(configs(5))
    assert executor.started == [0, 4]
    assert states(outcomes) == ["finished"] * 5
    outcomes, executor = pretend(configs(5))
    assert executor.started == []
    assert outcomes.exit_code == 0


def test_the_checkpoint_of_a_run_that_died_after_its_record_is_removed(
    configs: Configs, pretend: Pretend
) -> None:
    (config,) = configs(1)
    leave_record(config)
    (run_folder(config) / "last.ckpt").touch()
    pretend([config])
    assert not (run_folder(config) / "last.ckpt").exists()


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (3, 4)])
def test_a_point_that_fails_is_tried_again_at_the_end_and_kept_with_its_error(
    configs: Configs, pretend: Pretend, retries: int, attempts: int
) -> None:
    crash = {**CRASHED, "printed": "line 1\nline 2"}
    outcomes, executor = pretend(configs(3), {1: [crash] * 9}, slots=1, retries=retries)
    assert executor.started == [0, 1, 2, *[1] * (attempts - 1)]
    assert states(outcomes) == ["finished", "failed", "finished"]
    assert outcomes.exit_code == 1
    folder = outcomes[1].folder
    assert outcomes[1].error == "it crashed"
    assert (folder / "error.txt").read_text() == "it crashed\n"
    assert (folder / "output.txt").read_text() == "line 1\nline 2\n"
    assert (folder / "config.yaml").exists()


def test_a_point_that_succeeds_at_last_keeps_no_trace_of_its_failures(
    configs: Configs, pretend: Pretend
) -> None:
    pretend(configs(1), {0: [{**CRASHED, "printed": "oh"}]}, retries=0)
    outcomes, _ = pretend(configs(1), {0: [CRASHED]}, retries=1)
    assert states(outcomes) == ["finished"]
    assert outcomes[0].error == ""
    assert not (outcomes[0].folder / "output.txt").exists()


def test_what_the_user_must_mend_is_not_tried_again(configs: Configs, pretend: Pretend) -> None:
    outcomes, executor = pretend(configs(2), {0: [MENDABLE] * 3}, retries=2)
    assert executor.started == [0, 1]
    assert (outcomes[0].state, outcomes[0].error) == ("failed", "mend it")


def test_a_point_lost_with_its_server_costs_no_attempt(configs: Configs, pretend: Pretend) -> None:
    outcomes, executor = pretend(configs(1), {0: [LOST] * 3}, retries=0)
    assert executor.started == [0] * 4
    assert states(outcomes) == ["finished"]


def test_a_record_edited_by_hand_or_of_a_newer_schema_stops_nothing(
    configs: Configs, pretend: Pretend
) -> None:
    damaged, newer, edited, _ = configs(4)
    for config in (damaged, newer, edited):
        leave_record(config)
    path = run_folder(damaged) / "record.json"
    path.write_text(path.read_text().replace('"test": 0.5', '"test": "good"'))
    path = run_folder(newer) / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    before = path.read_bytes()
    path = run_folder(edited) / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"note": "mine", "test": 0.75}))

    outcomes, executor = pretend(configs(4))
    assert executor.started == [3]
    assert states(outcomes) == ["failed", "failed", "finished", "finished"]
    assert "'test' is \"good\", not a number" in outcomes[0].error
    assert "schema 99 is newer" in outcomes[1].error
    assert "--force" in outcomes[1].error
    assert outcomes[2].record is not None
    assert outcomes[2].record.test == 0.75
    assert (run_folder(newer) / "record.json").read_bytes() == before


def test_a_point_in_another_process_is_waited_for(configs: Configs, pretend: Pretend) -> None:
    both = configs(2)
    folder = run_folder(both[0])
    folder.mkdir(parents=True)
    looks = 0
    with ExitStack() as stack:
        lock = stack.enter_context((folder / ".lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)

        def other_process() -> None:
            nonlocal looks
            looks += 1
            if looks == 20:
                leave_record(both[0])
                stack.close()

        printed = StringIO()
        outcomes, executor = pretend(
            both, {0: [BUSY] * 99}, console=Console(file=printed), on_wait=other_process
        )
    assert executor.started == [0, 1]
    assert looks >= 20
    assert states(outcomes) == ["finished", "finished"]
    assert "another process is training it: waiting" in " ".join(printed.getvalue().split())
    assert "finished by another process" in printed.getvalue()


def test_a_point_that_another_process_gave_up_is_taken_over(
    configs: Configs, pretend: Pretend
) -> None:
    outcomes, executor = pretend(configs(1), {0: [BUSY]})
    assert executor.started == [0, 0]
    assert states(outcomes) == ["finished"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_sweep_and_says_what_is_left(
    configs: Configs, pretend: Pretend, number: signal.Signals
) -> None:
    waits = 0

    def interrupt() -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            os.kill(os.getpid(), number)

    def halfway(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "last.ckpt").touch()

    before = signal.getsignal(number)
    script = {2: [halfway] * 99, 3: [halfway] * 99}
    outcomes, executor = pretend(configs(6), script, on_wait=interrupt)
    assert executor.stopped
    assert not executor.killed
    assert executor.closed
    assert executor.started == [0, 1, 2, 3]
    left = ["interrupted", "waiting", "waiting", "waiting"]
    assert states(outcomes) == ["finished", "finished", *left]
    assert outcomes.exit_code == 128 + number
    assert signal.getsignal(number) is before


def test_a_second_signal_kills(configs: Configs, pretend: Pretend) -> None:
    waits = 0

    def interrupt() -> None:
        nonlocal waits
        waits += 1
        if waits in (2, 3):
            os.kill(os.getpid(), signal.SIGINT)

    script: dict[int, list[Any]] = {0: [lambda folder: None] * 9}
    outcomes, executor = pretend(configs(1), script, on_wait=interrupt)
    assert executor.killed
    assert outcomes.exit_code == 130


def test_servers_that_die_again_and_again_end_the_sweep(
    configs: Configs, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from .conftest import Pretended

    def only_lost(self: Pretended, seconds: float) -> list[tuple[int, dict[str, Any]]]:
        heard = [(key, LOST) for key in self.running]
        self.running.clear()
        return heard

    monkeypatch.setattr(Pretended, "wait", only_lost)
    with pytest.raises(RuntimeError, match="dies again and again"):
        pretend(configs(1))


def test_a_finished_message_is_only_believed_with_its_record(
    configs: Configs, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "write", lambda record, folder: None)
    outcomes, _ = pretend(configs(1), {0: [FINISHED]}, retries=0)
    assert states(outcomes) == ["failed"]
    assert outcomes[0].error == "it said that it had finished, and left no record"


def test_a_point_whose_job_was_cut_goes_on_and_costs_no_attempt(
    configs: Configs, pretend: Pretend
) -> None:
    cut = {"kind": "end", "state": "cut", "error": "job 1 was preempted"}
    outcomes, executor = pretend(configs(1), {0: [cut] * 3}, retries=0)
    assert executor.started == [0] * 4
    assert states(outcomes) == ["finished"]


def test_a_point_that_a_full_cluster_refuses_waits(configs: Configs, pretend: Pretend) -> None:
    refused = {"kind": "end", "state": "refused", "error": "there is no room"}
    printed = StringIO()
    console = Console(file=printed, width=200)
    outcomes, executor = pretend(configs(2), {1: [refused] * 2}, retries=0, console=console)
    assert executor.started == [0, 1, 1, 1]
    assert states(outcomes) == ["finished"] * 2
    assert printed.getvalue().count("there is no room") == 1


def test_a_point_that_another_process_finishes_while_it_waits_on_a_cluster_is_cancelled(
    configs: Configs, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gbench.sweep import engine

    from .conftest import Pretended

    (config,) = configs(1)
    cancelled: list[int] = []

    def pending(self: Pretended, seconds: float) -> list[tuple[int, dict[str, Any]]]:
        leave_record(config)
        return [(0, {"kind": "pending", "reason": "Priority", "job": "7"})]

    monkeypatch.setattr(Pretended, "wait", pending)
    monkeypatch.setattr(Pretended, "cancel", lambda self, key: cancelled.append(key), raising=False)
    monkeypatch.setattr(engine, "QUEUED_SECONDS", 0.0)
    outcomes, _ = pretend([config])
    assert (states(outcomes), cancelled) == (["finished"], [0])


def test_no_point_is_started_after_a_signal(configs: Configs, pretend: Pretend) -> None:
    """Submitting a hundred jobs takes a while, in which Ctrl-C is heard."""
    from .conftest import Pretended

    start = Pretended.start

    def interrupted(self: Pretended, key: int, config: Config, folder: Path) -> None:
        start(self, key, config, folder)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pretended, "start", interrupted)
        outcomes, executor = pretend(configs(9), slots=9)
    assert executor.started == [0]
    assert outcomes.exit_code == 130
