"""What is seen of a sweep: in a terminal, in a log, and how its points are called."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from gbench.config.compose import Config
from gbench.sweep import table
from gbench.sweep.labels import labels
from gbench.sweep.points import compose_all, run_folder
from gbench.sweep.queued import Point

from .conftest import record_of

Configs = Callable[[int], list[Config]]


@pytest.fixture
def points(configs: Configs) -> list[Point]:
    """Of 40 points, the first ten have finished, then one of each other state."""
    found = [Point(config, run_folder(config)) for config in configs(40)]
    for number, point in enumerate(found[:10]):
        point.state, point.ended = "finished", 5.0 + number
        point.record = record_of(point.config, point.folder, test=0.8125)
    found[10].state, found[10].error = "failed", "ValueError: sprung\nand more"
    found[11].state = "elsewhere"
    found[12].state, found[12].epoch, found[12].of, found[12].best = "running", 20, 80, 0.705
    found[13].state = "running"
    return found


def terminal(height: int) -> Console:
    return Console(file=StringIO(), force_terminal=True, width=90, height=height, color_system=None)


def shown(points: list[Point], height: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of the last frame."""
    monkeypatch.setattr(table, "REFRESH_SECONDS", 0.0)
    console = terminal(height)
    with table.View(points, 2, console) as view:
        console.file.seek(0)
        console.file.truncate()
        view.draw()
        assert isinstance(console.file, StringIO)
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    return [line.rstrip() for line in text.replace("\r", "").splitlines()]


def test_a_terminal_shows_what_matters_most_in_the_room_there_is(
    points: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(points, 12, monkeypatch)
    assert len(lines) <= 12
    head, *rows, last = lines
    assert "10 of 40 finished" in head
    assert "2 running · 1 in another process · 1 failed · 26 queued" in head
    assert last == "and 32 more"
    assert [re.search(r"seed (\d+)", row)[1] for row in rows] == [  # type: ignore[index]
        *("10", "11", "12", "13", "14", "15", "16", "17")
    ]
    assert rows[0].endswith("ValueError: sprung")
    assert "epoch 20/80  best valid 70.50" in rows[2]
    assert rows[3].endswith("starting")
    assert rows[4].endswith("queued")


def test_with_room_to_spare_all_points_are_shown(
    points: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(points, 60, monkeypatch)
    assert len(lines) == 41
    assert "✓ gcn · csbm · seed 0" in lines[1]
    assert "test accuracy 81.25  valid 60.00  5 s" in lines[1]


def test_of_those_that_finished_the_last_ones_are_shown(
    points: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(points[:10], 8, monkeypatch)
    assert [line[:21] for line in lines[1:-1]] == [f"✓ gcn · csbm · seed {n}" for n in (6, 7, 8, 9)]


def test_a_log_gets_one_line_for_each_point_that_ends(points: list[Point]) -> None:
    file = StringIO()
    with table.View(points, 2, Console(file=file, width=80)) as view:
        view.draw()
        view.event(points[3])
        view.event(points[10])
        view.event(points[11], "waiting for it")
    assert file.getvalue().splitlines() == [
        "40 runs, 2 at a time",
        "11/40  gcn · csbm · seed 3  ✓ test accuracy 81.25  valid 60.00  8 s",
        "11/40  gcn · csbm · seed 10  ✗ ValueError: sprung",
        "11/40  gcn · csbm · seed 11  … waiting for it",
    ]
    assert "\x1b" not in file.getvalue()


def test_brackets_in_an_error_are_text(points: list[Point]) -> None:
    points[10].error = "KeyError: [red]"
    file = StringIO()
    with table.View(points, 2, Console(file=file, width=80)) as view:
        view.event(points[10])
    assert "KeyError: [red]" in file.getvalue()


def test_the_time_left_counts_what_this_sweep_did(
    points: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(table.time, "monotonic", lambda: now)
    for point in points[:6]:
        point.before, point.ended = True, 0.0
    for point in points[10:]:
        point.state = "waiting"
    view = table.View(points, 2, Console(file=StringIO()))
    now = 180.0
    assert view._status().endswith("left 10:00")  # four in 80 s, thirty to go


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["model=gcn", "data=cora", "seeds=2"], ["gcn · cora · seed 0", "gcn · cora · seed 1"]),
        (["model=gcn,sgc", "data=cora"], ["gcn · cora", "sgc · cora"]),
        (
            ["model=gcn", "data=cora", "optim.lr=0.1,0.2", "model.hidden_dim=8"],
            ["gcn · cora · lr=0.1", "gcn · cora · lr=0.2"],
        ),
        (
            ["model=gcn", "data=csbm", "data.homophily=0.1,0.8", "folds=2"],
            [
                "gcn · csbm · homophily=0.1 · fold 0",
                "gcn · csbm · homophily=0.1 · fold 1",
                "gcn · csbm · fold 0",
                "gcn · csbm · fold 1",
            ],
        ),
    ],
)
def test_points_are_called_by_what_tells_them_apart(words: list[str], names: list[str]) -> None:
    assert labels(compose_all(words)) == names


def test_what_waits_on_a_cluster_is_shown_as_pending(points: list[Point]) -> None:
    point = next(point for point in points if point.state == "running")
    point.started, point.reason = 0.0, "Resources"
    view = table.View(points, 4, terminal(40))
    assert "1 pending (Resources)" in view._status()
    assert view._result(point) == "pending: Resources"
