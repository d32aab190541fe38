"""Web, wiki and film graphs in the text format of Geom-GCN (Pei et al., ICLR 2020), with splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.edges import both_directions, coalesce, without_loops
from gbench.data.loaders.splits import of_masks
from gbench.data.source import Graph, Source, Split
from gbench.errors import unknown

SPLITS = ("geom-gcn", "geom-gcn-raw", "geom-gcn-undirected")


def load(
    raw: Path, prefix: str, split: str, vocabulary: int = 0, as_stored: bool = False
) -> Source:
    """Read `out1_node_feature_label.txt`, `out1_graph_edges.txt` and the ten mask files.

    Under the split `geom-gcn` the graph stays as published: directed, with its self-loops, without
    repeated edges; under `geom-gcn-raw` it is the same graph, for features that nothing divides by
    their sums (see the dataset's YAML). Under `geom-gcn-undirected`, which Bodnar et al. (NeurIPS
    2022) use, each edge counts in both directions and self-loops go; `as_stored`, repeated edges
    stay as well, whatever the split. A node's features are numbers,
    or, where there is a `vocabulary`, the words of it that the node has. Raises UserError for
    another split.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    lines = (raw / "out1_node_feature_label.txt").read_text().splitlines()[1:]
    nodes, features, labels = zip(*(line.split("\t") for line in lines), strict=True)
    place = np.array(nodes, dtype=np.int64)
    x = np.zeros((len(nodes), vocabulary or features[0].count(",") + 1), dtype=np.float32)
    y = np.empty(len(nodes), dtype=np.int64)
    for node, row in zip(place, features, strict=True):
        if vocabulary:
            x[node, np.fromstring(row, dtype=np.int64, sep=",")] = 1
        else:
            x[node] = np.fromstring(row, dtype=np.float32, sep=",")
    y[place] = np.array(labels, dtype=np.int64)

    edges = np.loadtxt(raw / "out1_graph_edges.txt", dtype=np.int64, skiprows=1, ndmin=2)
    edge_index = torch.from_numpy(edges.T)
    if not as_stored:
        edge_index = coalesce(edge_index, len(nodes))
        if split == "geom-gcn-undirected":
            edge_index = both_directions(without_loops(edge_index), len(nodes))
    graph = Graph(torch.from_numpy(x), edge_index, torch.from_numpy(y))
    return Source([graph], read_splits(raw, prefix), num_outputs=int(y.max()) + 1)


def read_splits(raw: Path, prefix: str) -> list[Split]:
    """The ten published splits.

    Their files are named 0.6_0.2 but hold 48/32/20 % of the nodes, and on Cora and in two of
    CiteSeer's only nodes of the largest component.
    """
    splits = []
    for fold in range(10):
        with np.load(raw / f"{prefix}_split_0.6_0.2_{fold}.npz", allow_pickle=False) as masks:
            splits.append(of_masks(*(masks[f"{part}_mask"] for part in ("train", "val", "test"))))
    return splits
