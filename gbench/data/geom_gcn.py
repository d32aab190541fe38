"""Web and film graphs in the text format of Geom-GCN (Pei et al., ICLR 2020), with its splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.edges import coalesce
from gbench.data.source import Graph, Source, Split


def load(raw: Path, prefix: str) -> Source:
    """Read `out1_node_feature_label.txt`, `out1_graph_edges.txt` and the ten mask files.

    The graph stays as published: directed, with its self-loops, without repeated edges. The files
    are named 0.6_0.2 but hold 48/32/20 % of the nodes, and on some datasets not all nodes.
    """
    lines = (raw / "out1_node_feature_label.txt").read_text().splitlines()[1:]
    nodes, features, labels = zip(*(line.split("\t") for line in lines), strict=True)
    place = np.array(nodes, dtype=np.int64)
    x = np.empty((len(nodes), features[0].count(",") + 1), dtype=np.float32)
    y = np.empty(len(nodes), dtype=np.int64)
    x[place] = [np.fromstring(row, dtype=np.float32, sep=",") for row in features]
    y[place] = np.array(labels, dtype=np.int64)

    edges = np.loadtxt(raw / "out1_graph_edges.txt", dtype=np.int64, skiprows=1, ndmin=2)
    edge_index = coalesce(torch.from_numpy(edges.T), len(nodes))
    splits = []
    for fold in range(10):
        with np.load(raw / f"{prefix}_split_0.6_0.2_{fold}.npz", allow_pickle=False) as masks:
            parts = (masks[f"{part}_mask"] for part in ("train", "val", "test"))
            splits.append(Split(*(torch.from_numpy(np.flatnonzero(mask)) for mask in parts)))
    graph = Graph(torch.from_numpy(x), edge_index, torch.from_numpy(y))
    return Source([graph], splits, num_outputs=int(y.max()) + 1)
