"""metrics.csv has each finished epoch once, at any kill and after any resumption."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gbench.train import loader
from gbench.train.curve_file import CurveFile
from gbench.train.epochs import Epochs
from gbench.train.interrupt import Interrupted

NODE = ("model=gcn", "data=csbm", "data.num_nodes=60", "trainer.max_epochs=9")


def steps(path: Path) -> list[int]:
    with path.open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_a_row_is_in_the_file_before_the_next_one_and_after_a_kill(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, pathlib\n"
        "from gbench.train.curve_file import CurveFile\n"
        "file = CurveFile(pathlib.Path(sys.argv[1]))\n"
        "for step in range(7): file.log_metrics({'train_loss': 0.5, 'valid': 1 / 3}, step)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "metrics.csv"
    killed = subprocess.run([sys.executable, "-c", code, path], env={**os.environ})
    assert killed.returncode == -signal.SIGKILL
    assert steps(path) == list(range(7))
    assert path.read_text().splitlines()[:2] == ["step,train_loss,valid", f"0,0.5,{1 / 3}"]


def test_a_resumed_file_goes_on_from_the_checkpoint_and_keeps_the_old_rows_till_then(
    tmp_path: Path,
) -> None:
    path = tmp_path / "metrics.csv"
    first = CurveFile(path)
    for step in range(5):
        first.log_metrics({"valid": step / 10}, step)
    again = CurveFile(path)
    again.go_on([{"epoch": step, "valid": step / 10, "seconds": 1.0} for step in range(3)], ())
    assert steps(path) == [0, 1, 2, 3, 4]
    again.finalize("failed")
    assert steps(path) == [0, 1, 2, 3, 4]
    again.log_metrics({"valid": 0.9}, 3)
    assert path.read_text().split() == ["step,valid", "0,0.0", "1,0.1", "2,0.2", "3,0.9"]


def test_an_epoch_is_in_the_file_when_it_ends_and_once_after_a_resumption(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Cut where there are more rows than the checkpoint knows of, twice."""
    end_epoch, rows, cut = Epochs.end_epoch, [], {"after": 0}

    def seen(self: Epochs, trainer: Any, task: Any) -> None:
        end_epoch(self, trainer, task)
        (folder,) = (tmp_path / "runs").iterdir()
        rows.append(steps(folder / "metrics.csv"))
        if task.epoch == cut["after"]:
            raise Interrupted(9)
        if task.epoch == 3:  # the checkpoint is of the third epoch, the cut after the fifth
            self.on_train_epoch_end(trainer, task)

    monkeypatch.setattr(loader, "ROUND_SECONDS", 1e9)
    monkeypatch.setattr(Epochs, "end_epoch", seen)
    for cut["after"] in (5, 6):
        with pytest.raises(Interrupted):
            run(*NODE)
    cut["after"] = 0
    run(*NODE)
    resumed = [range(4), range(5), range(6)]
    assert rows[:5] == [list(range(n)) for n in range(1, 6)]
    assert rows[5:8] == [list(r) for r in resumed]
    assert rows[8:] == [list(range(n)) for n in range(4, 10)]
