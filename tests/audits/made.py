"""Small datasets of labelled nodes for tests, as an audit reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gbench.audits.audited import Audited, Split
from gbench.data.dataset import Dataset
from gbench.data.manage import card_of
from gbench.data.source import Graph
from gbench.data.source import Split as Parts
from gbench.data.spec import DataSpec
from gbench.data.store import pack

LOSSES = {"accuracy": "cross-entropy", "rocauc": "bce", "ap": "bce", "f1-micro": "bce"}


def of_nodes(
    x: Any,
    edges: Any,
    y: Any,
    splits: Sequence[tuple[Sequence[int], Sequence[int]]],
    metric: str = "accuracy",
    sizes: Sequence[int] = (),
    x_numbers: Any = None,
) -> Audited:
    """Nodes with features x, directed edges (E, 2), labels y, and (train, test) of each fold.

    -1 and NaN are no labels. Nodes are those of graphs of `sizes`, or all of one graph.
    """
    x, y = torch.as_tensor(np.asarray(x)), torch.as_tensor(np.asarray(y))
    edge_index = torch.as_tensor(np.asarray(edges, dtype=np.int64).reshape(-1, 2).T)
    graphs, first = [], 0
    for size in sizes or [len(x)]:
        inside = (edge_index[0] >= first) & (edge_index[0] < first + size)
        rows = slice(first, first + size)
        numbers = None if x_numbers is None else torch.as_tensor(x_numbers[rows])
        labels = y[rows].clamp(min=0) if y.ndim == 1 else y[rows]
        graphs.append(Graph(x[rows], edge_index[:, inside] - first, labels, x_numbers=numbers))
        first += size
    loss = LOSSES.get(metric, "mse")
    card = replace(card_of("cora"), metric=metric, loss=loss, num_folds=len(splits))
    store = pack(graphs, "node")
    outputs = y.size(1) if y.ndim == 2 else int(y.max()) + 1
    spec = DataSpec("node", outputs, x.size(1), loss=loss, metric=metric)
    none = torch.zeros(0, dtype=torch.int64)
    dataset = Dataset(card, spec, store, Parts(none, none, none), "", {})
    known = y >= 0 if y.ndim == 1 else ~y.isnan().all(1)
    folds = [
        Split(np.sort(np.array(train)), np.zeros(0, dtype=np.int64), np.sort(np.array(test)))
        for train, test in splits
    ]
    return Audited(card, dataset, store, folds, known.numpy(), Path())
