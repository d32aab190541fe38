"""What a model asks of the training part: in its spec, its record and its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

MODEL = """
import torch

class Scaled(torch.nn.Module):
    statistics = ("mean_log_degree",)

    def __init__(self, spec):
        super().__init__()
        self.lin = torch.nn.Linear(spec.num_features, spec.num_outputs)
        self.register_buffer("delta", torch.tensor(spec.statistics["mean_log_degree"]))

    def forward(self, batch):
        degree = batch.graph.in_degree.float().unsqueeze(1)
        return self.lin(batch.x) * degree.log1p() / self.delta
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "own_scaled.py").write_text(MODEL)
    (tmp_path / "model").mkdir()
    text = "# @package _global_\nmodel: {_target_: own_scaled.Scaled, levels: [node]}\n"
    (tmp_path / "model/own-scaled.yaml").write_text(text)
    return tmp_path


def test_a_run_records_what_its_model_asked_for(mine: Path, run: Any) -> None:
    record, folder = run("model=own-scaled", "data=csbm", "trainer.max_epochs=2", dirs=[mine])
    assert [*record.statistics] == ["mean_log_degree"]
    weights = torch.load(folder / "best.ckpt", weights_only=True)
    assert float(weights["delta"]) == pytest.approx(record.statistics["mean_log_degree"])
