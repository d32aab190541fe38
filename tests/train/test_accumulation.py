"""Accumulated batches are one large batch, whatever the clock; and the loss shown is the loss."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gbench import build
from gbench.build import build_task
from gbench.train import loader
from gbench.train.accumulation import Windows

LINEAR = (
    "model=gin", "data=digits", "experiment=null", "trainer.max_epochs=3", "trainer.select=last",
    "optim.lr=0.05", "optim.schedule=constant",
)  # fmt: skip


class Linear(nn.Module):
    """Logits linear in the mean of a graph's features: no noise, and no batch norm."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, batch: Any) -> Tensor:
        sums = torch.zeros(batch.num_graphs, batch.x.size(1)).index_add(0, batch.batch, batch.x)
        return self.linear(sums / batch.node_ptr.diff()[:, None])


@pytest.fixture(autouse=True)
def linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        build, "build_model", lambda _, spec: Linear(spec.num_features, spec.num_outputs)
    )


def trained(run: Any, *words: str) -> tuple[Tensor, list[float]]:
    """The weights after the last epoch, and the training loss of each."""
    _, folder = run(*LINEAR, *words)
    weights = torch.load(folder / "best.ckpt", weights_only=True)["linear.weight"]
    with (folder / "metrics.csv").open() as file:
        return weights, [float(row["train_loss"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "clip", [(), ("trainer.gradient_clip_val=0.01", "+trainer.gradient_clip_algorithm=norm")]
)
def test_three_batches_of_ten_are_one_of_thirty(clip: tuple[str, ...], run: Any) -> None:
    large, losses = trained(run, *clip, "optim.batch_size=30", "trainer.limit_batches=2")
    small = (*clip, "optim.batch_size=10", "trainer.limit_batches=6")
    accumulated, shown = trained(run, *small, "+trainer.accumulate_grad_batches=3")
    torch.testing.assert_close(accumulated, large)
    assert shown == pytest.approx(losses)
    alone, _ = trained(run, *small)
    assert not torch.allclose(alone, large, atol=1e-3)


def test_the_clock_changes_nothing(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ("optim.batch_size=10", "trainer.limit_batches=5", "+trainer.accumulate_grad_batches=3")
    outcomes = []
    for seconds in (0.0, 1e9):
        monkeypatch.setattr(loader, "ROUND_SECONDS", seconds)
        outcomes.append(trained(run, *words, f"runs_dir={tmp_path / str(seconds)}"))
    assert torch.equal(outcomes[0][0], outcomes[1][0])
    assert outcomes[0][1] == outcomes[1][1]


def test_the_batches_that_are_left_step_down_their_own_mean(run: Any) -> None:
    """Windows of 3 and 2 of five batches, against a loop of plain torch."""
    words = ("optim.batch_size=10", "trainer.limit_batches=5", "+trainer.accumulate_grad_batches=3")
    weights, losses = trained(run, *words)
    record, _ = run(*LINEAR, *words)
    task = build_task(record.config)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=0.05)
    train = task.dataset.split.train
    for epoch in range(3):
        generator = torch.Generator().manual_seed(epoch)  # of seed 0
        chunks = train[torch.randperm(len(train), generator=generator)].split(10)[:5]
        batches, shown = list(task.dataset.store.batches(chunks)), []
        for window in (batches[:3], batches[3:]):
            terms = [nn.functional.cross_entropy(task.model(batch), batch.y) for batch in window]
            optimizer.zero_grad()
            torch.stack(terms).mean().backward()
            optimizer.step()
            shown += [term.item() for term in terms]
        assert losses[epoch] == pytest.approx(sum(shown) / 5)
    torch.testing.assert_close(weights, task.model.linear.weight.detach())


@pytest.mark.parametrize(("size", "number"), [(1, 4), (2, 4), (3, 4), (3, 7), (9, 4), (4, 1)])
def test_windows_cover_an_epoch(size: int, number: int) -> None:
    windows = Windows(size, number)
    lengths, current = [], 0
    for batch in range(number):
        assert windows.begins(batch) == (current == 0)
        current += 1
        if windows.ends(batch):
            lengths.append(current)
            assert all(windows.length(b) == current for b in range(batch + 1 - current, batch + 1))
            current = 0
    assert current == 0 and sum(lengths) == number
    assert all(length == size for length in lengths[:-1])
