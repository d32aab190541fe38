"""Node classification of the Open Graph Benchmark (Hu et al., NeurIPS 2020), from its csv.gz files.

They are read in pieces and indices kept in 32 bits, because ogbn-products has 124 million edges.
"""

from __future__ import annotations

from pathlib import Path

import torch

from gbench.data.loaders.edges import both_directions
from gbench.data.loaders.ogb import read_table
from gbench.data.source import Graph, Source, Split


def load(raw: Path, split_folder: str, add_inverse_edge: bool, split: str = "") -> Source:
    """Read one `ogbn-*` dataset with the split in `split/<split_folder>`.

    Where OGB's reader is to add inverse edges, every line gives an edge and its reverse, as often
    as it occurs. Otherwise the graph is directed, and is made symmetric without repeated edges, as
    all models of OGB's examples have it, but under a split whose name ends in `-directed`.
    """
    x = read_table(raw / "raw" / "node-feat.csv.gz", torch.float32)
    y = read_table(raw / "raw" / "node-label.csv.gz", torch.int64).view(-1)
    edge_index = read_table(raw / "raw" / "edge.csv.gz", torch.int32).t()
    if add_inverse_edge:
        edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    elif not split.endswith("-directed"):
        edge_index = both_directions(edge_index.long(), len(x))
    parts = (
        read_table(raw / "split" / split_folder / f"{part}.csv.gz", torch.int64).view(-1)
        for part in Split._fields
    )
    return Source([Graph(x, edge_index, y)], [Split(*parts)], num_outputs=int(y.max()) + 1)
