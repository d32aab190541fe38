"""Link prediction of the Open Graph Benchmark (Hu et al., NeurIPS 2020), from its raw files.

The graph holds the training edges alone, each in both directions, as often as they occur. The pairs
of nodes to be told apart are the training edges, then the validation and the test edges, each
followed by the negatives that OGB drew for them once.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gbench.data.loaders.ogb import read_table
from gbench.data.loaders.pickles import read_torch
from gbench.data.source import Graph, Source, Split


def load(raw: Path, split_folder: str) -> Source:
    """Read one `ogbl-*` dataset with the split in `split/<split_folder>`.

    A dataset without node features gets each node's number as its category, so that every model
    learns an embedding per node. Raises UserError for a damaged split file.
    """
    edges = read_table(raw / "raw" / "edge.csv.gz", torch.int64)
    num_nodes = int(read_table(raw / "raw" / "num-node-list.csv.gz", torch.int64))
    features = raw / "raw" / "node-feat.csv.gz"
    has_features = features.exists()
    x = read_table(features, torch.float32) if has_features else torch.arange(num_nodes)[:, None]

    pairs, labels, parts, start = [], [], [], 0
    for part in Split._fields:
        known = read_torch(raw / "split" / split_folder / f"{part}.pt")
        positive, negative = _pairs(known["edge"]), _pairs(known.get("edge_neg", ()))
        pairs += [positive, negative]
        labels += [torch.ones(len(positive)), torch.zeros(len(negative))]
        end = start + len(positive) + len(negative)
        parts.append(torch.arange(start, end))
        start = end
    y = torch.cat(labels).unsqueeze(1)
    graph = Graph(x, torch.cat([edges, edges.flip(1)]).t(), y, pairs=torch.cat(pairs))
    return Source([graph], [Split(*parts)], 1, None if has_features else (num_nodes,))


def _pairs(edges: object) -> Tensor:
    """(P, 2) int64 from the array, tensor or nothing that a split file holds."""
    return torch.as_tensor(edges, dtype=torch.int64).view(-1, 2)
