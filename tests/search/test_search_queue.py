"""The trials of a command: what is pruned, tried again, waited for and left to the next command."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gbench.config.compose import Config
from gbench.errors import UserError
from gbench.search import search as searching
from gbench.search.search import Search
from gbench.search.space import Dimension, Value
from gbench.search.study import Study
from gbench.sweep.words import Options

LR = Dimension("optim.lr", low=0.001, high=1.0)
CRASH = {"kind": "end", "state": "failed", "error": "it crashed", "again": True}
MENDABLE = {"kind": "end", "state": "failed", "error": "mend it", "again": False}
INTERRUPTED = {"kind": "end", "state": "interrupted"}


def finished(valid: float) -> dict[str, Any]:
    return {"kind": "end", "state": "finished", "valid": valid}


class Pretended:
    """An executor whose trials say what `script` lists for their number, one list per attempt."""

    slots = 2

    def __init__(self, script: dict[int, list[list[Any]]]) -> None:
        self.script = script
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self.running: dict[int, list[Any]] = {}
        self.most_at_once = 0
        self.stopped = 0
        self.on_wait: Callable[[], None] = lambda: None

    def start(self, key: int, config: Config, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.started.append(key)
        attempts = self.script.get(key, [])
        self.running[key] = attempts.pop(0) if attempts else [finished(0.5)]
        self.most_at_once = max(self.most_at_once, len(self.running))

    def wait(self, seconds: float) -> list[tuple[int, Any]]:
        self.on_wait()
        heard: list[tuple[int, Any]] = []
        for key, messages in [*self.running.items()]:
            if messages:
                message = messages.pop(0)
                heard.append((key, message))
                if message["kind"] == "end":
                    del self.running[key]
        return heard

    def cancel(self, key: int) -> None:
        self.cancelled.append(key)
        self.running[key] = [{**CRASH, "error": "ended by SIGKILL"}]

    def stop(self) -> None:
        self.stopped += 1
        self.running = {key: [INTERRUPTED] for key in self.running}

    def kill(self) -> None:
        self.stopped += 10

    def close(self) -> None:
        pass


Run = Callable[..., tuple[Search, Pretended, str]]


@pytest.fixture
def run(gcn_on_csbm: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Search with an executor of this script; the search, the executor and what was printed."""

    def search(
        script: dict[int, list[list[Any]]] | None = None,
        *,
        limit: int = 4,
        on_wait: Callable[[], None] = lambda: None,
        composed: Callable[[dict[str, Value]], Config] = lambda values: gcn_on_csbm,
    ) -> tuple[Search, Pretended, str]:
        executor = Pretended(script or {})
        executor.on_wait = on_wait
        monkeypatch.setattr(searching, "make_executor", lambda configs, options, runs: executor)
        monkeypatch.setattr(searching, "LOOK_SECONDS", 0.01)
        study = Study(
            tmp_path / "study", [LR], maximise=True, seed=0, pruner="median", max_epochs=20
        )
        printed = StringIO()
        console = Console(file=printed, width=200)
        asked = Search(Options(retries=1), console, study, composed, limit)
        asked.stopped_by = asked.run(gcn_on_csbm)  # type: ignore[attr-defined]
        study.close()
        return asked, executor, printed.getvalue()

    return search


def test_as_many_trials_as_asked_and_no_more_at_once_than_there_is_room(run: Run) -> None:
    search, executor, printed = run({2: [[finished(0.9)]]}, limit=7)
    assert executor.started == [*range(7)]
    assert executor.most_at_once == 2
    assert search.study.tally().finished == 7
    best = search.study.best()
    assert best is not None
    assert (best.number, best.value) == (2, 0.9)
    (line,) = [line for line in printed.splitlines() if line.startswith("trial   2")]
    assert line.endswith("valid accuracy 90.00  best so far")
    assert [*(search.study.folder / "trials").iterdir()] == []
    _, executor, printed = run(limit=9)
    assert executor.started == [7, 8]
    assert "9 trials, 2 at a time; 7 of them are known" in printed


def test_a_hopeless_trial_is_ended_at_once_and_counts(run: Run) -> None:
    def curve(level: float) -> list[Any]:
        return [{"kind": "progress", "epoch": n, "valid": level} for n in range(1, 6)]

    script = {number: [[*curve(0.8), finished(0.8)]] for number in range(6)}
    script[6] = [[*curve(0.1), finished(0.99)]]  # it says so too late
    search, executor, printed = run(script, limit=7)
    assert executor.cancelled == [6]
    assert (search.study.tally().pruned, search.study.tally().finished) == (1, 6)
    assert "pruned after epoch 2" in printed
    best = search.study.best()
    assert best is not None
    assert best.value == 0.8


def test_a_crash_is_tried_again_and_a_mistake_is_not(run: Run) -> None:
    search, executor, printed = run(
        {0: [[CRASH], [finished(0.7)]], 1: [[CRASH], [CRASH]], 2: [[MENDABLE]]}
    )
    assert sorted(executor.started) == [0, 0, 1, 1, 2, 3]
    assert (search.study.tally().finished, search.study.tally().failed) == (2, 2)
    assert search.study.errors() == ["it crashed", "mend it"]
    assert "failed: mend it" in printed


def test_one_whose_folder_is_still_held_is_waited_for(run: Run) -> None:
    busy = {"kind": "end", "state": "busy", "error": "is being trained"}
    lost = {"kind": "end", "state": "lost"}
    search, executor, _ = run({0: [[busy], [busy], [lost], [finished(0.6)]]}, limit=1)
    assert executor.started == [0] * 4
    assert search.study.tally().finished == 1


def test_one_whose_job_was_cut_goes_on_and_it_is_said(run: Run) -> None:
    cut = {"kind": "end", "state": "cut", "error": "job 1 was preempted"}
    queued = {"kind": "pending", "job": "2", "reason": "Priority"}
    search, executor, printed = run({0: [[cut], [queued, finished(0.6)]]}, limit=1)
    assert executor.started == [0, 0]
    assert search.study.tally().finished == 1
    assert "job 1 was preempted; it goes on in another" in printed


def test_the_process_that_starts_the_trials_may_not_die_for_ever(run: Run) -> None:
    lost = {"kind": "end", "state": "lost"}
    with pytest.raises(RuntimeError, match="the process that starts each trial dies again"):
        run({0: [[lost] for _ in range(4)]}, limit=1)


def test_values_that_do_not_go_together_are_a_failed_trial(run: Run, gcn_on_csbm: Config) -> None:
    asked: list[Any] = []

    def composed(values: dict[str, Value]) -> Config:
        asked.append(values)
        if len(asked) == 2:
            raise UserError("these two do not go together")
        return gcn_on_csbm

    search, executor, printed = run(limit=3, composed=composed)
    assert executor.started == [0, 2]
    assert search.study.errors() == ["these two do not go together"]
    assert "cannot run: these two" in printed


def test_a_signal_leaves_the_trials_to_the_next_command(run: Run) -> None:
    sent: list[int] = []

    def interrupt() -> None:
        if not sent:
            sent.append(1)
            os.kill(os.getpid(), signal.SIGINT)

    search, executor, printed = run({0: [[]], 1: [[]]}, on_wait=interrupt)
    assert search.stopped_by == signal.SIGINT  # type: ignore[attr-defined]
    assert (executor.started, executor.stopped) == ([0, 1], 1)
    assert search.study.tally().running == 2
    assert "stopping" in printed
    search, executor, _ = run()
    assert sorted(executor.started) == [0, 1, 2, 3]
    assert search.study.tally().spent == 4


def test_a_second_signal_kills(run: Run) -> None:
    sent: list[int] = []

    def interrupt() -> None:
        sent.append(1)
        if len(sent) in (1, 3):
            os.kill(os.getpid(), signal.SIGINT)

    def stuck(executor: Pretended) -> None:
        executor.stopped += 1

    original, Pretended.stop = Pretended.stop, stuck  # type: ignore[method-assign]
    try:
        script = {0: [[{"kind": "started"}] * 5 + [CRASH]]}
        _, executor, _ = run(script, limit=1, on_wait=interrupt)
    finally:
        Pretended.stop = original  # type: ignore[method-assign]
    assert executor.stopped == 11
