"""Citation graphs in the format of Yang et al. (ICML 2016): Cora, CiteSeer, PubMed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.edges import coalesce, without_loops
from gbench.data.pickles import read_pickle
from gbench.data.source import Graph, Source, Split


def load(raw: Path, prefix: str) -> Source:
    """Read `ind.<prefix>.*` with the public split.

    `allx` holds the features of the training and unlabelled nodes, `tx` those of the test nodes in
    the order of `test.index`. Test nodes that CiteSeer does not list are isolated: features and
    label 0, and in no part of the split. Loops and repeated edges are dropped, as PyG does.
    """
    parts = {key: read_pickle(raw / f"ind.{prefix}.{key}") for key in ("y", "allx", "tx", "graph")}
    labels = {key: read_pickle(raw / f"ind.{prefix}.{key}") for key in ("ally", "ty")}
    test = np.loadtxt(raw / f"ind.{prefix}.test.index", dtype=np.int64)
    num_nodes, num_labelled = int(test.max()) + 1, parts["allx"].shape[0]

    x = np.zeros((num_nodes, parts["allx"].shape[1]), dtype=np.float32)
    x[:num_labelled], x[test] = parts["allx"].toarray(), parts["tx"].toarray()
    y = np.zeros((num_nodes, parts["y"].shape[1]), dtype=np.int64)
    y[:num_labelled], y[test] = labels["ally"], labels["ty"]

    edges = [(source, target) for source, targets in parts["graph"].items() for target in targets]
    edge_index = coalesce(without_loops(torch.tensor(edges).t()), num_nodes)
    graph = Graph(torch.from_numpy(x), edge_index, torch.from_numpy(y.argmax(axis=1)))
    num_train = parts["y"].shape[0]
    split = Split(
        torch.arange(num_train),
        torch.arange(num_train, num_train + 500),
        torch.from_numpy(np.sort(test)),
    )
    return Source([graph], [split], num_outputs=y.shape[1])
