"""Citation graphs in the format of Yang et al. (ICML 2016): Cora, CiteSeer, PubMed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.edges import coalesce, without_loops
from gbench.data.loaders.geom_gcn import read_splits
from gbench.data.loaders.pickles import read_pickle
from gbench.data.loaders.splits import twenty_per_class
from gbench.data.source import Graph, Source, Split
from gbench.errors import unknown

SPLITS = ("public", "random", "geom-gcn")
RANDOM_SPLITS = 100  # as many as the runs of Liu, Gao and Ji (KDD 2020), a new one in each


def load(raw: Path, prefix: str, split: str) -> Source:
    """Read `ind.<prefix>.*` with the split `public`, `random` or `geom-gcn`.

    `allx` holds the features of the training and unlabelled nodes, `tx` those of the test nodes in
    the order of `test.index`. Test nodes that CiteSeer does not list are isolated: features and
    label 0, in no part of the public split; random ones draw them like others, as PyG's do. Loops
    and repeated edges are dropped, as PyG does. Raises UserError for another split.
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
    edge_index = coalesce(without_loops(torch.tensor(edges).t()), num_nodes)
    graph = Graph(torch.from_numpy(x), edge_index, torch.from_numpy(y))
    if split == "geom-gcn":
        splits = read_splits(raw, prefix)
    elif split == "random":
        splits = [twenty_per_class(y, seed=fold) for fold in range(RANDOM_SPLITS)]
    else:
        train, valid = torch.arange(parts["y"].shape[0] + 500).split([parts["y"].shape[0], 500])
        splits = [Split(train, valid, torch.from_numpy(np.sort(test)))]
    return Source([graph], splits, num_outputs=one_hot.shape[1])
