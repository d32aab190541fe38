"""Jobs one after another in one process: as if each were alone, and none pays for another."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from gbench.config.compose import Config, compose
from gbench.records.record import RunRecord
from gbench.sweep import local
from gbench.sweep.engine import run_all
from gbench.sweep.local import Local
from gbench.sweep.points import compose_all, run_folder
from gbench.sweep.sharing import derived_from, kind
from gbench.sweep.words import Options

SMALL = ("trainer=cpu", "trainer.max_epochs=4")
CSBM = ("data=csbm", "data.num_nodes=200", *SMALL)
SWEEPS = (
    ("model=gcn,sgc,gat,dagnn,od-nsd", *CSBM, "seeds=2"),
    ("model=gcn", *CSBM, "data.fold=0..2", "optim.lr=0.01,0.1"),
    ("model=gin,gcn", "data=csl", *SMALL, "seeds=2", "optim.batch_size=32"),
)
TIMES = {"seconds", "train_seconds"}
OF_THE_PROCESS = {
    "started", "finished", "seconds_per_epoch", "seconds_total", "items_per_second",
    "peak_memory_mib", "peak_memory_by_phase", "config",
}  # fmt: skip


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def left(folder: Path) -> tuple[Any, ...]:
    """What a run has left, but for times and memory: its record, curve and weights."""
    record = RunRecord.from_json((folder / "record.json").read_bytes())
    told = {k: repr(v) for k, v in vars(record).items() if k not in OF_THE_PROCESS}
    with (folder / "metrics.csv").open() as file:
        curve = [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]
    weights = torch.load(folder / "best.ckpt", weights_only=True)
    return told, curve, {name: value.numpy().tobytes() for name, value in weights.items()}


@pytest.mark.parametrize("words", SWEEPS, ids=[words[0] for words in SWEEPS])
def test_runs_are_bitwise_those_of_processes_of_their_own(
    words: Sequence[str], one_thread: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for place, of_one_process in (("shared", kind), ("alone", lambda config: "")):
        monkeypatch.setattr(local, "kind", of_one_process)
        configs = compose_all([*words, f"runs_dir={tmp_path / place}"])
        outcomes = run_all(configs, options=Options(jobs=1), console=Console(quiet=True))
        assert {outcome.state for outcome in outcomes} == {"finished"}
        found[place] = {o.folder.name: left(o.folder) for o in outcomes}
    assert found["shared"].keys() == found["alone"].keys()
    for name, (told, curve, weights) in found["alone"].items():
        assert found["shared"][name] == (told, curve, weights), name


Sweep = Callable[[int], tuple[Local, list[Config]]]


@pytest.fixture
def sweep(tmp_path: Path, one_thread: None) -> Iterator[Sweep]:
    """An executor of one process at a time, and so many configs for it."""
    made = []

    def make(number: int, *words: str) -> tuple[Local, list[Config]]:
        configs = compose_all(
            ["model=gcn", *CSBM, f"seeds={number}", *words, f"runs_dir={tmp_path}"]
        )
        made.append(Local(configs, 1))
        return made[-1], configs

    yield make
    for executor in made:
        executor.kill()
        executor.close()


def heard(executor: Local, last: str = "end") -> dict[str, Any]:
    """Wait for a message of this kind."""
    while True:
        for _, message in executor.wait(1.0):
            if message["kind"] == last:
                return message


def done(executor: Local, config: Config) -> tuple[int, dict[str, Any]]:
    """Run it; the process that did so, and how it ended."""
    executor.start(0, config, run_folder(config))
    (process,) = executor.running
    end = heard(executor)
    return process.pid, end


def test_a_process_goes_on_until_it_is_killed_and_takes_one_run_along(sweep: Any) -> None:
    executor, (first, second, third, fourth, fifth) = sweep(5)
    pid, end = done(executor, first)
    assert end == {"kind": "end", "state": "finished"}
    assert done(executor, second) == (pid, end)
    executor.start(3, third, run_folder(third))
    heard(executor, "started")
    os.kill(pid, signal.SIGKILL)
    assert heard(executor)["error"] == "its process was ended by SIGKILL: was the memory full?"
    another, end = done(executor, fourth)
    assert another != pid
    assert end["state"] == "finished"
    os.kill(another, signal.SIGKILL)  # while it waits
    last, end = done(executor, fifth)
    if end["state"] == "lost":  # it was given the job before the kill had come through
        last, end = done(executor, fifth)
    assert last not in (pid, another)
    assert end["state"] == "finished"


def test_a_run_that_is_told_to_stop_leaves_its_checkpoint_and_ends_its_process(sweep: Any) -> None:
    executor, (first, second) = sweep(2, "trainer.patience=200000")
    done(executor, first)
    endless = {**second, "trainer": {**second["trainer"], "max_epochs": 200_000}}
    executor.start(1, endless, run_folder(second))
    while not (run_folder(second) / "last.ckpt").exists():
        executor.wait(0.1)
    executor.stop()
    assert heard(executor) == {"kind": "end", "state": "interrupted"}
    assert executor.idle == []


def test_memory_neither_grows_nor_is_told_of_the_past(sweep: Any) -> None:
    executor, configs = sweep(12)
    resident = []
    for config in configs:
        pid, end = done(executor, config)
        assert end["state"] == "finished"
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        resident.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    assert len({process.pid for process in executor.idle}) == 1
    assert resident[-1] < resident[1] + 30
    peaks = [
        RunRecord.from_json((run_folder(config) / "record.json").read_bytes()).peak_memory_mib
        for config in configs
    ]
    assert max(peaks[1:]) < min(resident) + 60


@pytest.mark.parametrize(
    "words",
    [
        ["model=logistic", "data=csbm"],
        ["model=gcn", "data=csbm", "logger=wandb"],
        ["model=gcn", "data=csbm", "trainer.devices=2"],
        ["model=gcn", "data=csbm", "optim.optimizer=torch.optim.Rprop"],
    ],
)
def test_what_cannot_be_trusted_has_a_process_of_its_own(words: list[str]) -> None:
    assert kind(compose(words)) == ""


def test_seeds_folds_and_rates_share_a_process_and_models_and_data_do_not() -> None:
    words = ["model=gcn", "data=csbm"]
    one = compose(words)
    other = compose([*words, "seed=3", "data.fold=2", "optim.lr=0.3"])
    assert kind(one) == kind(other) != ""
    assert derived_from(one) == derived_from(other)
    for word in ("model=gat", "data.num_nodes=300"):
        assert kind(compose([*words, word])) not in ("", kind(one))
    wider = compose([*words, "model.hidden_dim=32"])
    assert kind(wider) == kind(one)
    assert derived_from(wider) != derived_from(one)
