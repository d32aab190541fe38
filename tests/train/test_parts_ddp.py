"""Two processes on one big graph: each has its share of every batch, and one record comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gbench.cli.main import main

SETTINGS = (
    "model=gcn",
    "data=csbm",
    "data.num_nodes=500",
    "trainer=ddp",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=2",
)
NOTED = """
import json
import sys
from pathlib import Path
import torch
from gbench.cli.main import main
from gbench.train import task

first = task.Task.training_step
seen = []


def training_step(self, batch, index):
    nodes = {bytes(row.numpy()): node for node, row in enumerate(self.dataset.store.x)}
    seen.append([nodes[bytes(row.numpy())] for row in batch.x[batch.targets]])
    return first(self, batch, index)


task.Task.training_step = training_step
code = main(sys.argv[1:])
Path(f"seen-{torch.distributed.get_rank()}").write_text(json.dumps(seen))
sys.exit(code)
"""


def run(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "batching",
    [
        ("batching=neighbours", "batching.nodes_per_batch=70"),
        ("batching=partitions", "batching.num_parts=20", "batching.parts_per_batch=4"),
    ],
    ids=["neighbours", "partitions"],
)
def test_two_processes_share_every_epoch_and_evaluate_every_node_once(
    tmp_path: Path,
    batching: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = tmp_path / "noted.py"
    script.write_text(NOTED)
    answer = run(tmp_path, sys.executable, script, "train", *SETTINGS, *batching, "--json")
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)

    # 300 training nodes: each process has half of each batch, both together every node once
    first, second = [], []
    for rank in (0, 1):
        batches = json.loads((tmp_path / f"seen-{rank}").read_text())
        half = len(batches) // 2
        first += [node for batch in batches[:half] for node in batch]
        second += [node for batch in batches[half:] for node in batch]
        if batching[0] == "batching=neighbours":
            assert [len(batch) for batch in batches[:half]] == [35, 35, 35, 35, 10]
    assert len(set(first)) == len(first) == 300
    assert sorted(first) == sorted(second) and first != second

    if batching[0] == "batching=partitions":
        return
    # The metric came from both processes' shares of the nodes; one process finds the same.
    monkeypatch.chdir(tmp_path)
    assert main(["eval", record["run"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"] == pytest.approx(record["valid"])
