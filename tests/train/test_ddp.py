"""Two processes on the CPU: one run, one record, and the evaluation of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GBENCH = Path(sys.executable).parent / "gbench"
SETTINGS = (
    "model=gin",
    "data=digits",
    "model.hidden_dim=8",
    "trainer.max_epochs=2",
    "trainer.limit_batches=20",
    "optim.batch_size=16",
)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GBENCH, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_two_processes_make_one_record_that_one_process_confirms(tmp_path: Path) -> None:
    words = ["train", *SETTINGS, "trainer=ddp", "trainer.accelerator=cpu", "--json"]
    answer = run(tmp_path, *words)
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    assert record["epochs"] == 2
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [record["run"]]
    assert answer.stderr.count("gbench leaderboard") == 1  # one summary, not one per process

    # The validation metric came from both processes' shares; one process finds the same.
    again = run(tmp_path, "eval", record["run"], "--json")
    assert json.loads(again.stdout)["valid"] == pytest.approx(record["valid"])


def test_one_graph_cannot_be_shared_and_says_so(tmp_path: Path) -> None:
    answer = run(
        tmp_path, "train", "model=gcn", "data=csbm", "trainer=ddp", "trainer.accelerator=cpu"
    )
    assert answer.returncode == 2
    assert answer.stderr.count("csbm is one graph and is trained as one batch") == 1
    assert "Traceback" not in answer.stderr
