"""Citation graphs in the format of Yang et al. (ICML 2016): Cora, CiteSeer, PubMed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gbench.data.loaders.edges import coalesce, without_loops
from gbench.data.loaders.geom_gcn import read_splits
from gbench.data.loaders.pickles import read_pickle
from gbench.data.loaders.splits import twenty_per_class
from gbench.data.source import Graph, Source, Split
from gbench.errors import unknown

SPLITS = ("public", "full", "random", "geom-gcn")
RANDOM_SPLITS = 100  # as many as the runs of Liu, Gao and Ji (KDD 2020), a new one in each


def load(raw: Path, prefix: str, split: str, as_stored: bool = False) -> Source:
    """Read `ind.<prefix>.*` with the split `public`, `full`, `random` or `geom-gcn`.

    `allx` holds the features of the training and unlabelled nodes, `tx` those of the test nodes in
    the order of `test.index`. Test nodes that CiteSeer does not list are isolated: features and
    label 0, in no part of the public split; the other splits take them for nodes of class 0, as
    PyG and Geom-GCN do, and say so. Under `full` all nodes train that do not validate or test under
    `public`. Loops and repeated edges are dropped, as PyG does, but for edges `as_stored`. Raises
    UserError for another split.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    parts = {key: read_pickle(raw / f"ind.{prefix}.{key}") for key in ("y", "allx", "tx", "graph")}
    labels = {key: read_pickle(raw / f"ind.{prefix}.{key}") for key in ("ally", "ty")}
    test = np.loadtxt(raw / f"ind.{prefix}.test.index", dtype=np.int64)
    num_nodes, num_labelled = int(test.max()) + 1, parts["allx"].shape[0]

    x = np.zeros((num_nodes, parts["allx"].shape[1]), dtype=np.float32)
    x[:num_labelled], x[test] = parts["allx"].toarray(), parts["tx"].toarray()
    one_hot = np.zeros((num_nodes, parts["y"].shape[1]), dtype=np.int64)
    one_hot[:num_labelled], one_hot[test] = labels["ally"], labels["ty"]
    y = one_hot.argmax(axis=1)

    edges = [(source, target) for source, targets in parts["graph"].items() for target in targets]
    edge_index = torch.tensor(edges).t()
    if not as_stored:
        edge_index = coalesce(without_loops(edge_index), num_nodes)
    graph = Graph(torch.from_numpy(x), edge_index, torch.from_numpy(y))
    if split == "geom-gcn":
        splits = read_splits(raw, prefix)
    elif split == "random":
        splits = [twenty_per_class(y, seed=fold) for fold in range(RANDOM_SPLITS)]
    else:
        train, valid = torch.arange(parts["y"].shape[0] + 500).split([parts["y"].shape[0], 500])
        listed = torch.from_numpy(np.sort(test))
        if split == "full":
            rest = np.setdiff1d(np.arange(num_nodes), np.concatenate([valid, listed]))
            train = torch.from_numpy(rest)
        splits = [Split(train, valid, listed)]
    assumed = torch.from_numpy(one_hot.sum(axis=1) == 0)
    said = _said(assumed, splits)
    return Source([graph], splits, one_hot.shape[1], assumed=assumed, **said)


def _said(assumed: Tensor, splits: Sequence[Split]) -> dict[str, Any]:
    """What is told of nodes without a label, and noted before training where a part has some."""
    if not (count := int(assumed.sum())):
        return {}
    told = {"no label": f"{count:,} of {len(assumed):,} nodes; class 0, as in published code"}
    found = [[int(assumed[part].sum()) for part in split] for split in splits]
    if not any(map(any, found)):
        return {"told": told}
    counts = [_range(part) for part in zip(*found, strict=True)]
    note = (
        f"{count:,} nodes have no label in the files and count as class 0, as in published code: "
        f"in {'a fold' if len(splits) > 1 else 'this split'} {counts[0]} of them train, "
        f"{counts[1]} validate, {counts[2]} test"
    )
    return {"told": told, "notes": [note]}


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"
