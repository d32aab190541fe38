"""A search from the command line: two commands on one study, one of them killed, and the best."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gbench.cli.main import main
from gbench.config.compose import compose
from gbench.config.identity import identity
from gbench.records import record as records
from gbench.records.record import RunRecord

GBENCH = str(Path(sys.executable).parent / "gbench")
WORDS = ["model=gcn", "data=csbm", "data.num_nodes=200", "trainer=cpu", "trainer.max_epochs=40"]
SPACE = "trials: 6\nmodel.hidden_dim: [4, 8, 16]\noptim.lr: {low: 0.001, high: 0.1, log: true}\n"


def begin(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [GBENCH, "search", "--config-dir", "mine", *WORDS, "sweep=small", *words]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def found(folder: Path) -> list[RunRecord]:
    return [records.read(path) for path in sorted((folder / "runs").glob("*/record.json"))]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, wait_until: Any) -> Path:
    """Two commands at once; the first is killed while a trial of it runs."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "mine" / "sweep").mkdir(parents=True)
    (folder / "mine" / "sweep" / "small.yaml").write_text(SPACE)
    killed = begin(folder, "seeds=2", "jobs=1")
    wait_until(lambda: [*folder.glob("runs/search/*/trials/*/.lock")], killed)
    other = begin(folder, "seeds=2", "jobs=1", "--json")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    out, told = other.communicate()
    assert other.returncode == 0, told
    (folder / "out").write_text(out)
    (folder / "told").write_text(told)
    return folder


def test_no_trial_is_lost_or_doubled(searched: Path) -> None:
    told = (searched / "told").read_text()
    numbers = [line.split()[1] for line in told.splitlines() if line.startswith("trial ")]
    assert sorted(numbers) == [str(number) for number in range(6)]
    assert [path.name for path in searched.glob("runs/search/*/trials/*")] == []


def test_the_best_is_tested_and_its_records_tell_the_trials(searched: Path) -> None:
    found_records = found(searched)
    assert [record.seed for record in found_records] == [0, 1]
    assert [record.trials for record in found_records] == [6, 6]
    told = (searched / "told").read_text()
    (best,) = [line for line in told.splitlines() if line.startswith("  valid accuracy")][:1]
    # the trial had the same seed: the run of the best setting repeats it
    assert best.split()[2] == f"{100 * found_records[0].valid:.2f}"
    config = found_records[0].config
    assert config["space"] == {
        "model.hidden_dim": [4, 8, 16],
        "optim.lr": {"low": 0.001, "high": 0.1, "log": True},
    }
    assert [json.loads(part)["seed"] for part in _parts((searched / "out").read_text())] == [0, 1]


def test_it_is_the_setting_that_anyone_may_type(searched: Path) -> None:
    config = found(searched)[0].config
    typed = [
        f"model.hidden_dim={config['model']['hidden_dim']}",
        f"optim.lr={config['optim']['lr']}",
    ]
    assert identity(compose([*WORDS, *typed])) == found(searched)[0].identity
    assert compose([*WORDS, "trials=6"])["trials"] == 6


def test_more_trials_go_on_and_are_told_by_what_had_finished(
    searched: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {record.run: record for record in found(searched)}
    monkeypatch.chdir(searched)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["search", "--config-dir", "mine", *WORDS, "sweep=small"]
    code = main([*words, "trials=7", "seeds=2", "jobs=1"])
    told = capsys.readouterr().err
    assert code == 0, told
    assert "7 trials, 1 at a time; 6 of them are known" in told
    best = [record for record in found(searched) if record.trials == 7]
    assert len(best) == 2
    for record in best:
        if record.run in before:
            assert record.finished == before[record.run].finished


def _parts(text: str) -> list[str]:
    return [f"{part}\n}}" for part in text.split("\n}\n") if part]
