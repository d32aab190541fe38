"""What a long epoch shows of itself, by a clock that the test turns."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from rich.console import Console

from gbench.board.columns import columns
from gbench.board.tables import rows
from gbench.build import build_task
from gbench.config.compose import compose
from gbench.data.spec import DataCard
from gbench.sweep.point import Reporter
from gbench.train import layerwise, progress
from gbench.train.progress import Display

ROW = {"train_loss": 0.5, "valid": 0.75, "seconds": 60.0}
Turn = Callable[[float], None]


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Turn:
    """Let so many seconds pass."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


@pytest.fixture(scope="module")
def config() -> Any:
    return compose(["model=gin", "data=csl", "trainer.max_epochs=4"])


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100)


def shown(display: Display) -> str:
    return display.console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_first_epoch_moves_from_the_third_second_on(
    terminal: bool, config: Any, turn: Turn
) -> None:
    display = Display(console(terminal=terminal), "gin", DataCard.from_config(config["data"]), 4)
    with display:
        display.start()
        turn(0.1)
        display.batch(0, 1, 100, 5000)
        assert "batch" not in shown(display)
        turn(3.0)
        display.batch(0, 4, 100, 5000)
        # 4 of 100 batches of 50 graphs in 3.1 s; 396 more of them take 307 s
        assert "epoch 1/4  batch 4/100  65 graphs/s" in shown(display)
        assert "5:07" in shown(display)
        turn(11.0)
        display.batch(0, 60, 100, 5000)
        assert "batch 60/100  213 graphs/s" in shown(display)
        turn(11.0)
        display.validation(0, 0.25)
        assert "epoch 1/4  validation 25%" in shown(display)
        turn(1.0)
        display.epoch({"epoch": 0, **ROW}, 0.75, 0)
        turn(11.0)
        display.batch(1, 1, 100, 5000)
        assert "epoch 2/4  batch 1/100  5 graphs/s" in shown(display)  # since the epoch began


def test_a_log_file_gets_a_line_now_and_then(config: Any, turn: Turn) -> None:
    display = Display(console(terminal=False), "gin", DataCard.from_config(config["data"]), 4)
    with display:
        display.start()
        for done in range(1, 601):  # ten minutes
            turn(1.0)
            display.batch(0, done, 1000, 5000)
    assert 50 <= len(shown(display).splitlines()) <= 61


def test_short_epochs_show_nothing_of_their_inside(config: Any, turn: Turn) -> None:
    display = Display(console(terminal=False), "gin", DataCard.from_config(config["data"]), 4)
    with display:
        display.start()
        for epoch in range(4):
            for done in range(1, 10):
                turn(0.3)
                display.batch(epoch, done, 10, 90)
            display.validation(epoch, 1.0)
            display.epoch({"epoch": epoch, **ROW}, 0.75, 0)
    assert "batch" not in shown(display) and "validation" not in shown(display)
    assert len(shown(display).splitlines()) == 4


def test_a_point_of_a_sweep_tells_the_fraction(config: Any, turn: Turn) -> None:
    sent: list[dict[str, Any]] = []
    reporter = Reporter(console(terminal=False), config, sent.append)
    reporter.start()
    turn(3.5)
    reporter.batch(0, 25, 100, 5000)
    assert [message["epoch"] for message in sent] == [0, 0.25]


def test_evaluation_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gbench.train.task.EVALUATION_BATCH", 10)
    monkeypatch.setattr(layerwise, "ENTRIES_AT_ONCE", 200)
    graphs = ["model=gin", "data=csl"]
    nodes = ["model=gcn", "data=csbm", "data.num_nodes=120", "batching=neighbours"]
    for words in (graphs, nodes):
        task, told = build_task(compose(words)), []
        logits, _ = task.answers("valid", tick=told.append)
        assert len(told) > 2 and told == sorted(told) and told[-1] == 1.0
        assert torch.equal(task.answers("valid")[0], logits)


@pytest.mark.parametrize(
    ("metric", "text"),
    [("hits@20", "63.12"), ("accuracy", "63.12"), ("ece", "63.12"), ("mae", "0.6312"),
     ("r2", "0.6312"), ("mcc", "0.6312"), ("mine.own", "0.6312")],
)  # fmt: skip
def test_a_metric_reads_in_training_as_in_tables(
    metric: str, text: str, config: Any, turn: Turn, make_record: Any
) -> None:
    card = replace(DataCard.from_config(config["data"]), metric=metric)
    display = Display(console(terminal=False), "gin", card, 1)
    with display:
        display.start()
        display.epoch({**ROW, "epoch": 0, "valid": 0.6312}, 0.6312, 0)
    assert f"valid {metric} {text}  best {text} @1" in shown(display)
    (table,) = rows([make_record(metric=metric, test=0.6312, valid=0.6312)], [])
    unit = " %" if text == "63.12" else ""
    cells = {column.head: column.cells for column in columns(table)}
    assert cells[f"test{unit}"] == [text] == cells[f"valid{unit}"]
