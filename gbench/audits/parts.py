"""Labels and parts of a split: their sizes, what no part has, and what a constant scores.

Legend: N labelled items (nodes, graphs), C classes, T tasks or targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from gbench.audits.audited import Audited, Split
from gbench.audits.fact import Fact, Value
from gbench.audits.scores import UNITS, score
from gbench.audits.shape import edges_of_graphs
from gbench.audits.structure import Array

Named = Iterator[tuple[str, Value, str]]

DEFINITIONS = {
    "labels": "said where no item has a label: facts of labels are left out",
    "unlabelled {item}": "{item} without any label; no part has them",
    "classes": "distinct labels",
    "class counts": "{item} of class 0, 1, ...; unlabelled ones left out",
    "class counts, {part}": "{item} of class 0, 1, ... in that part",
    "majority rate": "share of the most frequent label: of the test part, or of the whole dataset",
    "constant baseline": "test accuracy of the label most frequent in train (ties: smallest)",
    "classes not in train": "classes without a training item",
    "classes in test, not in train": "of these, those with a test item",
    "test {item} of classes not in train": "test items that no model can have learnt the class of",
    "{part} {item}": "{item} of that part",
    "one test {item}": "accuracy that one test item is worth",
    "all-zero {part} rows": "nodes of that part whose features are all zero",
    "{item} in no part": "{item} that the split leaves out",
    "{item} never tested": "{item} in no fold's test part",
    "{item} in no test fold": "{item} in no fold's test part",
    "{item} tested in several folds": "{item} in the test part of more than one fold: folds are "
    "not independent",
    "{item} in two test folds": "{item} in the test part of more than one fold",
    "graphs": "graphs of that part",
    "nodes, mean": "mean over the graphs of that part",
    "edges, mean": "distinct unordered pairs of two different nodes; mean over the graphs of that "
    "part",
    "tasks": "yes-or-no questions that each item has an answer to",
    "label combinations": "distinct rows of labels, missing being a value as well",
    "missing labels": "entries of the labels that are empty",
    "positives": "items of the part with label 1",
    "positive rate": "share of label 1 among the labels of the part",
    "positive rates": "the same of task 0, 1, ...",
    "labels per {item}, mean": "mean number of labels that are 1",
    "{item} without a positive label": "items of the part none of whose labels is 1",
    "constant score": "the metric of a score that is the same for all: ROC-AUC 0.5; average "
    "precision the positive rate, mean over tasks",
    "constant score, average precision": "the positive rate",
    "constant score, weakest task": "the least positive rate of a task",
    "targets": "numbers to predict for each item",
    "target, {statistic}": "of the part: mean, standard deviation, median, minimum, maximum",
    "targets, {statistic}": "the same of target 0, 1, ..., - where none is known",
    "median baseline": "error of answering the median of train, mean over targets",
    "median of the part itself": "error of answering the part's own median: no constant has less",
    "mean baseline": "error (of R² the score) of answering the mean of train, mean over targets",
}


def facts(data: Audited) -> Iterator[Fact]:
    """Facts of labels and of each fold's parts."""
    if data.card.level == "link":
        for fold, split in enumerate(data.splits):
            for part, ids in zip(Split._fields, split, strict=True):
                yield Fact(*data.place(fold, part), f"{part} pairs", len(ids), "count")
        return
    if not data.labelled.any():
        yield Fact("", None, "labels", "no labels", "")
    else:
        for name, value, unit in _of_labels(data):
            yield Fact("", None, name, value, unit)
    for fold, split in enumerate(data.splits):
        for part, name, value, unit in _of_fold(data, split):
            yield Fact(*data.place(fold, part), name, value, unit)
    if len(data.splits) > 1:
        yield from _of_folds(data)


def _of_labels(data: Audited) -> Named:
    y, item = data.y[data.labelled], data.card.item
    yield f"unlabelled {item}", int((~data.labelled).sum()), "count"
    if data.classes is not None:
        counts = np.bincount(data.classes[data.labelled], minlength=data.num_classes)
        yield "classes", int((counts > 0).sum()), "count"
        yield "class counts", _text(counts), "count"
        yield "majority rate", 100 * counts.max() / len(y), "%"
    if data.card.labels == "tasks":
        yield "tasks", y.shape[1], "count"
        yield "missing labels", int(np.isnan(y).sum()), "count"
        if y.shape[1] > 1:  # NaN is unlike itself
            combinations = np.unique(np.nan_to_num(y, nan=-1.0), axis=0)
            yield "label combinations", len(combinations), "count"
    elif data.card.labels == "numbers":
        yield "targets", y.shape[1], "count"
        yield "missing labels", int(np.isnan(y).sum()), "count"


def _of_fold(data: Audited, split: Split) -> Iterator[tuple[str, str, Value, str]]:
    """The part that a fact is of, and the fact."""
    item, is_one = data.card.item, data.is_by_part
    in_parts = np.zeros(len(data.y), dtype=bool)
    for part, ids in zip(Split._fields, split, strict=True):
        in_parts[ids] = True
        if is_one:
            yield from ((part, *fact) for fact in _sizes(data, ids))
        else:
            yield part, f"{part} {item}", len(ids), "count"
    left_out = int(((~in_parts) & data.labelled).sum())
    yield "train" if is_one else "test", f"{item} in no part", left_out, "count"
    if data.classes is not None:
        yield from (("test", *fact) for fact in _classes(data, data.classes, split))
    if data.card.level == "node" and data.store.x.is_floating_point():
        for part in ("test", "train"):
            rows = data.zeros[0][getattr(split, part)]
            yield "test", f"all-zero {part} rows", int(rows.sum()), "count"
    if data.card.labels != "classes":
        told = _tasks if data.card.labels == "tasks" else _numbers
        for part in Split._fields:
            yield from ((part, *fact) for fact in told(data, split, part, is_one))


def _sizes(data: Audited, graphs: Array) -> Named:
    yield "graphs", len(graphs), "count"
    yield "nodes, mean", float(np.diff(data.structure.node_ptr)[graphs].mean()), "count"
    yield "edges, mean", float(edges_of_graphs(data)[graphs].mean()), "count"


def _classes(data: Audited, y: Array, split: Split) -> Named:
    num_classes, item = data.num_classes, data.card.item
    train, valid, test = (np.bincount(y[ids], minlength=num_classes) for ids in split)
    unseen = (train == 0) & (np.bincount(y[data.labelled], minlength=num_classes) > 0)
    for part, counts in zip(Split._fields, (train, valid, test), strict=True):
        yield f"class counts, {part}", _text(counts), "count"
    size = len(split.test)
    yield f"one test {item.removesuffix('s')}", 100 / size, "%"
    yield "majority rate", 100 * test.max() / size, "%"
    yield "constant baseline", 100 * test[train.argmax()] / size, "%"
    yield "classes not in train", int(unseen.sum()), "count"
    yield "classes in test, not in train", int((unseen & (test > 0)).sum()), "count"
    yield f"test {item} of classes not in train", int(test[unseen].sum()), "count"
    if data.card.metric == "rocauc" and data.card.labels == "classes":
        yield "constant score", 0.5, "ROC-AUC"


def _tasks(data: Audited, split: Split, part: str, is_one: bool) -> Named:
    """Facts of one part; of several folds those of its test part alone, and its training rates."""
    if not is_one and part != "test":
        return
    y, item = data.y[getattr(split, part)], data.card.item
    is_known, positive = ~np.isnan(y), y == 1
    rates = positive.sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
    judged = rates[(positive.sum(axis=0) > 0) & (positive.sum(axis=0) < is_known.sum(axis=0))]
    precision = float(judged.mean()) if len(judged) else 0.0
    if y.shape[1] == 1:
        yield "positives", int(positive.sum()), "count"
        yield "positive rate", 100 * float(rates[0]), "%"
    else:
        yield "positive rates", " ".join(f"{100 * rate:.2f}" for rate in rates), "%"
        yield f"labels per {item.removesuffix('s')}, mean", float(positive.sum(1).mean()), "count"
        yield f"{item} without a positive label", int((~positive.any(axis=1)).sum()), "count"
    if data.card.metric == "rocauc":
        yield "constant score", 0.5, "ROC-AUC"
        yield "constant score, average precision", precision, "AP"
    elif data.card.metric == "ap":
        yield "constant score", precision, "AP"
        if y.shape[1] > 1 and len(judged):
            yield "constant score, weakest task", float(judged.min()), "AP"


def _numbers(data: Audited, split: Split, part: str, is_one: bool) -> Named:
    if not is_one and part != "test":
        return
    train, y = data.y[split.train], data.y[getattr(split, part)]
    statistics: dict[str, Callable[[Array], float]] = {
        "mean": np.mean,
        "standard deviation": np.std,
        "median": np.median,
        "minimum": np.min,
        "maximum": np.max,
    }
    for name, of in statistics.items():
        values = _by_column(of, y).tolist()
        if len(values) > 1:
            yield f"targets, {name}", " ".join(map(_number, values)), "target"
        elif np.isfinite(values[0]):
            yield f"target, {name}", values[0], "target"
    if part == "train":
        return
    metric = data.card.metric if data.card.metric in ("rmse", "r2") else "mae"
    constants = (
        ("median baseline", "mae", _by_column(np.median, train)),
        ("median of the part itself", "mae", _by_column(np.median, y)),
        ("mean baseline", metric, _by_column(np.mean, train)),
    )
    for name, metric, constant in constants:
        value = score(metric, np.broadcast_to(constant, y.shape), y)
        if np.isfinite(value):
            yield name, value, UNITS[metric]
        elif np.isnan(constant).any():
            data.skipped[name] = "no training item has some target"


def _by_column(of: Callable[[Array], float], y: Array) -> Array:
    """Of the entries that are there; NaN for a column without any. Shapes: (T, K) → (K,)."""
    columns = [column[~np.isnan(column)] for column in y.T]
    return np.array([of(column) if len(column) else np.nan for column in columns])


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.6g}"


def _of_folds(data: Audited) -> Iterator[Fact]:
    """How often each item is tested."""
    tested = np.zeros(len(data.y), dtype=np.int64)
    for split in data.splits:
        tested[split.test] += 1
    never = int(((tested == 0) & data.labelled).sum())
    again, item = int((tested > 1).sum()), data.card.item
    if data.card.level == "graph":
        yield Fact("", None, f"{item} in no test fold", never, "count")
        yield Fact("", None, f"{item} in two test folds", again, "count")
    else:
        place = f"{data.card.split} mean", None
        yield Fact(*place, f"{item} never tested", never, "count")
        yield Fact(*place, f"{item} tested in several folds", again, "count")


def _text(counts: Array) -> str:
    return " ".join(map(str, counts.tolist()))
