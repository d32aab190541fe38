"""Two processes on the CPU: one run, one record, and the evaluation of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gbench.build import build_task
from gbench.cli.main import main
from gbench.config.compose import compose

GBENCH = Path(sys.executable).parent / "gbench"
SETTINGS = (
    "model=gin",
    "data=digits",
    "model.hidden_dim=8",
    "trainer.max_epochs=2",
    "trainer.limit_batches=20",
    "optim.batch_size=16",
    "+trainer.accumulate_grad_batches=3",
    "optim.schedule=one-cycle",
    "optim.warmup_steps=2",
)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GBENCH, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def test_two_processes_make_one_record_that_one_process_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", *SETTINGS, "trainer=ddp", "trainer.accelerator=cpu", "--json"]
    answer = run(tmp_path, *words)
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    assert record["epochs"] == 2
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [record["run"]]
    assert answer.stderr.count("gbench leaderboard") == 1  # one summary, not one per process

    # The validation metric came from both processes' shares; one process finds the same.
    monkeypatch.chdir(tmp_path)
    assert main(["eval", record["run"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"] == pytest.approx(record["valid"])


# Each of two processes answers its share of the validation graphs, and both hear all.
ANSWERS = """
import sys
import torch
from gbench.build import build_task
from gbench.cli.main import main
from gbench.config.compose import compose

rank, store, out, *words = sys.argv[1:]
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{store}", rank=int(rank), world_size=2
)
task = build_task(compose(words))
torch.save(task.answers("valid"), f"{out}-{rank}")
torch.distributed.destroy_process_group()
"""


def test_two_processes_answer_sample_for_sample_what_one_does(tmp_path: Path) -> None:
    words = ("model=gin", "data=digits", "model.hidden_dim=8", "model.readout=sum")
    out = tmp_path / "answers"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ANSWERS, str(rank), tmp_path / "store", out, *words],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    task = build_task(compose(words))
    logits, labels = task.answers("valid")
    assert len(labels) % 2 == 1
    assert [process.wait() for process in processes] == [0, 0]
    dealt = torch.cat([torch.arange(rank, len(labels), 2) for rank in range(2)])
    for rank in range(2):
        shared_logits, shared_labels = torch.load(f"{out}-{rank}")
        assert torch.equal(shared_labels, labels[dealt])
        torch.testing.assert_close(shared_logits, logits[dealt])
        assert torch.equal(shared_logits.argmax(1), logits[dealt].argmax(1))


def test_one_graph_cannot_be_shared_and_says_so(tmp_path: Path) -> None:
    answer = run(
        tmp_path, "train", "model=gcn", "data=csbm", "trainer=ddp", "trainer.accelerator=cpu"
    )
    assert answer.returncode == 2
    assert answer.stderr.count("csbm is one graph and is trained as one batch") == 1
    assert "Traceback" not in answer.stderr
