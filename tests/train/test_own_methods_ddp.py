"""A loss and a fit of the model's own in two processes: one fit, and means over both."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

GBENCH = Path(sys.executable).parent / "gbench"
CODE = """
from pathlib import Path
import torch

class Own(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.lin = torch.nn.Linear(spec.num_features, spec.num_outputs)
        self.register_buffer("mean", torch.zeros(spec.num_features))

    def fit(self, train):
        with (Path(__file__).parent / "fits").open("a") as file:
            file.write("x")
        self.mean.copy_(train.batch().x.mean(0) + 1)

    def forward(self, batch):
        return self.lin(batch.x - self.mean)[batch.node_ptr[:-1].long()]

    def loss(self, logits, batch, dataset_loss):
        rows = logits.new_tensor(float(batch.num_graphs))
        return {"loss": dataset_loss, "rows": rows, "mean": self.mean.sum(), "again": dataset_loss}
"""


def test_one_process_fits_and_every_one_has_it(tmp_path: Path) -> None:
    (tmp_path / "mine/model").mkdir(parents=True)
    (tmp_path / "mine/own_ddp.py").write_text(CODE)
    text = "# @package _global_\nmodel: {_target_: own_ddp.Own, levels: [graph]}\n"
    (tmp_path / "mine/model/own-ddp.yaml").write_text(text)
    words = "train --config-dir mine model=own-ddp data=csl trainer=ddp trainer.accelerator=cpu"
    more = "optim.batch_size=30 trainer.max_epochs=2 optim.lr=0.1 --json"
    answer = subprocess.run(
        [GBENCH, *words.split(), *more.split()],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    assert (tmp_path / "mine/fits").read_text() == "x"
    folder = tmp_path / "runs" / record["run"]
    weights = torch.load(folder / "best.ckpt", weights_only=True)
    with (folder / "metrics.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    for row in rows:
        assert row["train_rows"] == 15  # of each of two
        assert row["train_mean"] == pytest.approx(weights["mean"].sum().item(), rel=1e-5)
        assert row["train_again"] == pytest.approx(row["train_loss"], rel=1e-6)
