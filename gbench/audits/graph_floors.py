"""What counting scores: sizes, labels and colours of 1-WL, without a network.

Random forests (Breiman, 2001) as scikit-learn has them, untuned, and linear models on counts of
colours. They are fitted to the training part and score valid and test, of folds test alone.

Legend: G graphs, F columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gbench.audits.audited import Audited, Split
from gbench.audits.fact import Fact
from gbench.audits.graph_counts import Histogram, label_counts, sizes_of
from gbench.audits.graph_labels import LabelSet, judges_tasks, label_sets
from gbench.audits.learners import by_column, forest, linear
from gbench.audits.scores import UNITS, score
from gbench.audits.shape import components_of_graphs
from gbench.audits.structure import Array

Rows = Any  # (G, F), dense or a sparse matrix of SciPy's
TREES = {"classes": 300, "tasks": 100, "numbers": 100}
# Depths of the colours that are counted, and in how many training graphs one must occur.
DEPTH = {"classes": 3, "tasks": 2, "numbers": 2}
LEAST = {"classes": 2, "tasks": 20, "numbers": 5}
LEAST_JUDGED_BY_AP = 50
MOST_FITTED = 50_000_000  # training rows of all trees of one kind of forest, some minutes
MOST_ENTRIES = 200_000_000  # counts that logistic regressions of all tasks are fitted to
NOTHING_TO_COUNT = "no colour occurs in enough training graphs"
MOST_CELLS = 1 << 28  # numbers of a table that a forest is fitted to: 1 GiB
DEFINITIONS = {
    "random forest on sizes": "scikit-learn RandomForestClassifier(300 trees, random_state=0), 100 "
    "trees for tasks; inputs: number of nodes, number of edges",
    "random forest on sizes and label counts": "the same (of numbers RandomForestRegressor); also "
    "the count of each node label and each edge label; of several columns the count of each value "
    "of each column of the nodes and of the first of the edges, for AP of each distinct row",
    "random forest on 1-WL histogram, {labels}": "the same on counts of 1-WL colours of depth 0 to "
    "3 from these labels that occur in at least two training graphs",
    "random forest on 1-WL histogram": "the same on counts of 1-WL colours of depth 0 to 2 from "
    "all labels that occur in at least 50 training graphs",
    "random forest on cycle rank alone": "the same; input: edges less nodes plus components",
    "logistic regression on 1-WL histogram": "LogisticRegression(C=0.01, liblinear) on counts of "
    "1-WL colours of depth 0 to 2 from all labels that occur in at least 20 training graphs; of "
    "several tasks one for each",
    "ridge on 1-WL histogram": "Ridge(alpha=1, tol=1e-8), of each target by itself where some are "
    "missing, on sizes, label counts and counts of 1-WL "
    "colours of depth 0 to 2 from all labels that occur in at least five training graphs",
}


def facts(data: Audited) -> Iterator[Fact]:
    """The floors of each fold."""
    if not data.labelled.any():
        return
    if all(np.array_equal(split.train, split.test) for split in data.splits):
        data.skipped["floors of graphs"] = "the test part is the training part"
        return
    kinds = {"classes": _of_classes, "tasks": _of_tasks, "numbers": _of_numbers}
    for fold, name, part, value, unit in kinds[data.card.labels](data):
        if not np.isnan(value):
            yield Fact(*data.place(fold, part), name, value, unit)


Found = Iterator[tuple[int, str, str, float, str]]  # fold, fact, part, value, unit


def _of_classes(data: Audited) -> Found:
    sizes, counts = sizes_of(data), label_counts(data)
    histograms = [Histogram.of(data, labels, DEPTH["classes"]) for labels in _counted(data)]
    for fold, split in enumerate(data.splits):
        tables: dict[str, Rows] = {"sizes": sizes}
        if counts.shape[1]:
            tables["sizes and label counts"] = np.hstack([sizes, counts])
        for histogram in histograms:
            name = f"1-WL histogram, {histogram.labels}"
            tables[name] = histogram.counts(split.train, LEAST["classes"])
        for name, rows in tables.items():
            if _is_too_much(data, name, rows):
                continue
            answers = _forest(data, _dense(rows), split)(split.test)
            value = 100 * float((answers == data.y[split.test]).mean())
            yield fold, f"random forest on {name}", "test", value, "%"


def _of_tasks(data: Audited) -> Found:
    sizes, counts = sizes_of(data), label_counts(data)
    together = np.hstack([sizes, counts])
    histogram = Histogram.of(data, label_sets(data)[0], DEPTH["tasks"])
    for fold, split in enumerate(data.splits):
        yield from _of_forest(data, "sizes", sizes, fold)
        yield from _of_forest(data, "sizes and label counts", together, fold)
        if judges_tasks(data):
            rows = histogram.counts(split.train, LEAST_JUDGED_BY_AP)
            yield from _of_forest(data, "1-WL histogram", rows, fold)
        else:
            rows = histogram.counts(split.train, LEAST["tasks"])
            if _is_too_long(data, rows):
                continue
            learnt = _logistic(data, rows, split)
            yield from _scored(data, "logistic regression on 1-WL histogram", learnt, fold, split)


def _of_numbers(data: Audited) -> Found:
    from scipy.sparse import csr_array, hstack

    sizes, counts = sizes_of(data), label_counts(data)
    together = np.hstack([sizes, counts])
    rank = (sizes[:, 1] - sizes[:, 0] + components_of_graphs(data))[:, None]
    histogram = Histogram.of(data, label_sets(data)[0], DEPTH["numbers"])
    for fold, split in enumerate(data.splits):
        yield from _of_forest(data, "sizes and label counts", together, fold)
        yield from _of_forest(data, "cycle rank alone", rank, fold)
        rows = hstack(
            [csr_array(together), histogram.counts(split.train, LEAST["numbers"])], format="csr"
        )
        yield from _scored(data, "ridge on 1-WL histogram", _ridge(data, rows, split), fold, split)


def _of_forest(data: Audited, name: str, rows: Rows, fold: int) -> Found:
    """The forest on these columns, where it is not too much to fit."""
    if not _is_too_much(data, name, rows):
        split = data.splits[fold]
        learnt = _forest(data, _dense(rows), split)
        yield from _scored(data, f"random forest on {name}", learnt, fold, split)


def _scored(
    data: Audited, name: str, learnt: Callable[[Array], Array], fold: int, split: Split
) -> Found:
    parts = ("valid", "test") if data.card.num_folds == 1 else ("test",)
    metric = data.card.metric
    for part in parts:
        ids = getattr(split, part)
        yield fold, name, part, score(metric, learnt(ids), data.y[ids]), UNITS.get(metric, "")


def _is_too_much(data: Audited, name: str, rows: Rows) -> bool:
    """Whether a forest is left out, which is told: no columns, too many trees, or cells."""
    if not rows.shape[1]:
        data.skipped[f"random forest on {name}"] = NOTHING_TO_COUNT
        return True
    learners = 1
    if data.card.labels != "classes" and np.isnan(data.y).any():
        learners = data.y.shape[1]  # labels are missing: a forest for each column
    fitted = sum(len(split.train) for split in data.splits) * TREES[data.card.labels] * learners
    cells = rows.shape[0] * rows.shape[1]
    if fitted <= MOST_FITTED and cells <= MOST_CELLS:
        return False
    data.skipped[f"random forest on {name}"] = (
        f"{fitted:,} training rows of all its trees and a table of {cells:,} numbers, where at "
        f"most {MOST_FITTED:,} and {MOST_CELLS:,} are fitted"
    )
    return True


def _is_too_long(data: Audited, rows: Rows) -> bool:
    """Whether logistic regression is left out, which is told."""
    name = "logistic regression on 1-WL histogram"
    if not rows.shape[1]:
        data.skipped[name] = NOTHING_TO_COUNT
        return True
    entries = np.diff(rows.indptr)
    fitted = sum(
        int(entries[split.train] @ (~np.isnan(data.y[split.train])).sum(axis=1))
        for split in data.splits
    )
    if fitted > MOST_ENTRIES:
        data.skipped[name] = (
            f"{fitted:,} counts of all its tasks, where at most {MOST_ENTRIES:,} are fitted"
        )
    return fitted > MOST_ENTRIES


def _counted(data: Audited) -> list[LabelSet]:
    """The label sets whose colours are counted: with labels, or the bare graphs where none are."""
    sets = [each for each in label_sets(data) if each.name != "labels and attributes"]
    return [each for each in sets if each.name != "no labels"] or sets


def _forest(data: Audited, rows: Array, split: Split) -> Callable[[Array], Array]:
    """Classes, probabilities of label 1, or numbers. Shapes: rows (G, F) → (ids,) or (ids, T)."""
    labels, train = data.card.labels, split.train
    outputs = data.dataset.spec.num_outputs
    learnt = forest(rows[train], data.y[train], labels, outputs, TREES[labels], seed=0, jobs=2)
    if labels == "classes":
        return lambda ids: np.asarray(learnt(rows[ids]).argmax(axis=1))
    return lambda ids: learnt(rows[ids])


def _logistic(data: Audited, rows: Rows, split: Split) -> Callable[[Array], Array]:
    y, outputs = data.y[split.train], data.dataset.spec.num_outputs
    learnt = linear(rows[split.train], y, "tasks", outputs, c=0.01, solver="liblinear")
    return lambda ids: learnt(rows[ids])


def _ridge(data: Audited, rows: Rows, split: Split) -> Callable[[Array], Array]:
    from sklearn.linear_model import Ridge

    y = data.y[split.train]
    learnt = by_column(lambda: Ridge(alpha=1, tol=1e-8), rows[split.train], y)
    return lambda ids: learnt(rows[ids])


def _dense(rows: Rows) -> Array:
    found: Array = rows.toarray().astype(np.float32) if hasattr(rows, "toarray") else rows
    return found
