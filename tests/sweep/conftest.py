"""A sweep of points that an executor only pretends to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gbench.config.compose import Config, compose
from gbench.config.identity import identity
from gbench.records import record as records
from gbench.records.record import RunRecord
from gbench.sweep import engine
from gbench.sweep.words import Options

FINISHED = {"kind": "end", "state": "finished"}


@pytest.fixture(scope="session")
def gcn_on_csbm() -> Config:
    return compose(["model=gcn", "data=csbm", "trainer.max_epochs=3"])


@pytest.fixture
def configs(gcn_on_csbm: Config, tmp_path: Path) -> Callable[[int], list[Config]]:
    """So many configs that differ in their seed."""

    def make(number: int) -> list[Config]:
        place = {"runs_dir": str(tmp_path / "runs")}
        return [{**gcn_on_csbm, **place, "seed": seed} for seed in range(number)]

    return make


def record_of(config: Config, folder: Path, test: float = 0.5) -> RunRecord:
    """A record as the run of this config would leave it."""
    return RunRecord(
        run=folder.name,
        identity=identity(config),
        seed=config["seed"],
        fold=0,
        num_folds=10,
        data="csbm",
        model="gcn",
        task="node-classification",
        split="stratified-60-20-20",
        selection="best-validation",
        metric="accuracy",
        direction="max",
        valid=0.6,
        test=test,
        best_epoch=2,
        epochs=3,
        num_parameters=10,
        seconds_per_epoch=0.1,
        seconds_total=0.3,
        items_per_second=100.0,
        item="nodes",
        peak_memory_mib=10.0,
        device="CPU",
        versions={},
        git=None,
        fingerprint="f",
        started="2026-11-01T12:00:00+00:00",
        finished="2026-11-01T12:00:01+00:00",
        config=config,
    )


class Pretended:
    """An executor whose points do what `script` lists for each seed, one entry per attempt.

    An entry is the "end" message; one that says "finished" writes the record first. A function is
    called with the folder and returns the message.
    """

    def __init__(self, script: dict[int, list[Any]], slots: int) -> None:
        self.script = script
        self.slots = slots
        self.started: list[int] = []  # seeds
        self.most_at_once = 0
        self.running: dict[int, tuple[Config, Path]] = {}
        self.stopped = self.killed = self.closed = False
        self.on_wait: Callable[[], None] = lambda: None

    def start(self, key: int, config: Config, folder: Path) -> None:
        self.started.append(config["seed"])
        self.running[key] = (config, folder)
        self.most_at_once = max(self.most_at_once, len(self.running))

    def wait(self, seconds: float) -> list[tuple[int, dict[str, Any]]]:
        self.on_wait()
        heard: list[tuple[int, dict[str, Any]]] = []
        for key, (config, folder) in [*self.running.items()][:1]:
            heard.append((key, {"kind": "started", "pid": 1}))
            attempts = self.script.get(config["seed"], [])
            message = attempts.pop(0) if attempts else FINISHED
            if callable(message):
                message = message(folder)
            if message is None:  # it goes on
                continue
            if message["state"] == "finished" and not (folder / "record.json").exists():
                folder.mkdir(parents=True, exist_ok=True)
                records.write(record_of(config, folder), folder)
            heard.append((key, message))
            del self.running[key]
        return heard

    def stop(self) -> None:
        self.stopped = True
        self.script = {seed: [{"kind": "end", "state": "interrupted"}] for seed in range(100)}

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        self.closed = True


Pretend = Callable[..., tuple[engine.Outcomes, Pretended]]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Run these configs by an executor with this script; the outcomes, and the executor."""

    def run(
        configs: Sequence[Config],
        script: dict[int, list[Any]] | None = None,
        *,
        slots: int = 2,
        retries: int = 1,
        console: Console | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> tuple[engine.Outcomes, Pretended]:
        executor = Pretended(script or {}, slots)
        executor.on_wait = on_wait
        monkeypatch.setattr(engine, "make_executor", lambda configs, options: executor)
        monkeypatch.setattr(engine, "LOOK_SECONDS", 0.01)
        options = Options(retries=retries)
        console = console or Console(quiet=True)
        return engine.run_all(configs, options=options, console=console), executor

    return run
