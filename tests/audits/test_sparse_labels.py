"""Datasets of which little is known: targets that nobody has, no edges, nothing shared."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gbench.audits.audit import audit
from gbench.audits.fact import Audit
from gbench.audits.show import json_text
from gbench.data.manage import card_of

PARTS = ["train", "train", "train", "valid", "test", "test"]


def written(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def told(folder: Path, labels: dict[str, Sequence[Any]], about: str, edges: bool = True) -> Audit:
    """The audit of six paths of 1, 2, ... 6 nodes."""
    sizes = range(1, 7)
    nodes = [(f"{g}.{i}", g) for g in sizes for i in range(g)]
    joined = [(f"{g}.{i}", f"{g}.{i + 1}", 0.5) for g in sizes for i in range(g - 1) if edges]
    written(folder / "nodes.csv", [("id", "graph"), *nodes])
    written(folder / "edges.csv", [("source", "target", "length"), *joined])
    written(
        folder / "graphs.csv",
        [("id", *labels), *zip(sizes, *labels.values(), strict=True)],
    )
    parts = zip(sizes, PARTS, strict=True)
    written(folder / "splits.csv", [("id", "part"), *parts])
    (folder / "dataset.yaml").write_text(about)
    card = card_of(str(folder))
    made = audit(card, folder, folder.parent / f"{folder.name}-cache")
    json.loads(json_text([made]))  # no NaN among the values
    return made


@pytest.mark.parametrize("metric", ["accuracy", "rocauc"])
def test_colours_that_no_two_graphs_share_are_no_columns(tmp_path: Path, metric: str) -> None:
    """No colour of these paths occurs in 20 graphs, and without edges only that of depth 0."""
    task = "task: multi-label\n" if metric == "rocauc" else ""
    made = told(tmp_path, {"label": [0, 1, 0, 1, 0, 1]}, f"{task}metric: {metric}\n")
    what = "random forest" if metric == "accuracy" else "logistic regression"
    assert any(name.startswith(what) for name in made.skipped) == (metric == "rocauc")
    assert made.find("random forest on sizes", "test", 0) is not None


def test_tasks_that_training_has_no_label_of(tmp_path: Path) -> None:
    labels = {"label_a": [0, 1, 0, 1, 0, 1], "label_b": ["", "", "", 1, 0, 1]}
    made = told(tmp_path, labels, "task: multi-label\nmetric: rocauc\n")
    assert made.find("random forest on sizes", "test", 0) is not None
    assert made.find("table lookup, no labels", "test", 0) == 0.5


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2"])
def test_targets_of_which_some_are_missing(tmp_path: Path, metric: str) -> None:
    """No training graph has both targets."""
    labels = {"label_a": [0.5, "", 1.5, 1, 0.25, 1], "label_b": ["", 2.5, "", 1, 0.75, 1]}
    made = told(tmp_path, labels, f"task: regression\nmetric: {metric}\n")
    if metric != "r2":
        assert made.find("ridge on 1-WL histogram", "test", 0) is not None


def test_a_target_that_no_training_graph_has(tmp_path: Path) -> None:
    labels = {"label_a": [0.5, 2.5, 1.5, 1, 0.25, 1], "label_b": ["", "", "", 1, 0.75, 1]}
    made = told(tmp_path, labels, "task: regression\nmetric: mae\n")
    assert made.find("targets, median", "train", 0) == "1.5 -"
    assert made.find("median of the part itself", "test", 0) == pytest.approx(1 / 4)
    assert made.find("median baseline", "test", 0) is None
    assert "no training item" in made.skipped["median baseline"]


def test_missing_labels_are_alike_in_combinations(tmp_path: Path) -> None:
    labels = {"label_a": [0, 1, 0, 1, 0, 1], "label_b": ["", 1, "", 1, 0, 1]}
    made = told(tmp_path, labels, "task: multi-label\nmetric: rocauc\n")
    assert made.find("label combinations") == 3


def test_graphs_of_isolated_nodes_alone(tmp_path: Path) -> None:
    made = told(tmp_path, {"label": [0, 1, 0, 1, 0, 1]}, "", edges=False)
    assert made.find("graphs without edges") == 6
    assert made.find("distinct graphs, no labels") == 6


def test_graphs_that_differ_in_the_label_of_a_loop_are_different(tmp_path: Path) -> None:
    told(tmp_path, {"label": [0, 1, 0, 1, 0, 1]}, "")
    written(
        tmp_path / "nodes.csv",
        [("id", "graph"), *((g, g % 10) for g in [*range(1, 7), *range(11, 17), *range(21, 27)])],
    )
    loops = [(g, g, "s" if g % 2 else "d") for g in range(1, 7)]
    loops += [(g, g + 10, "d") for g in range(1, 7)]
    loops += [(g + 10, g + 20, "s") for g in range(1, 7)]
    written(tmp_path / "edges.csv", [("source", "target", "kind"), *loops])
    made = audit(card_of(str(tmp_path)), tmp_path, tmp_path.parent / f"{tmp_path.name}-cache")
    found = {f.fact: f.value for f in made.facts if f.fact.startswith("distinct graphs, ")}
    assert found["distinct graphs, no labels"] == 1
    assert max(found.values()) == 2, found
