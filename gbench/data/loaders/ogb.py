"""Molecules of the Open Graph Benchmark (Hu et al., NeurIPS 2020), read from its raw csv.gz files.

The `ogb` package itself is not imported: it asks a server for a newer version when it is, prompts
on standard input, and its own cache cannot be loaded by torch ≥ 2.6.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gbench.data.source import Graph, Source, Split

# Numbers of values per column: ogb.utils.features.get_atom_feature_dims and get_bond_feature_dims.
ATOM_CATEGORIES = (119, 5, 12, 12, 10, 6, 6, 2, 2)
BOND_CATEGORIES = (5, 6, 2)

ROWS_AT_ONCE = 2**16  # of a csv file: 52 MB of numbers of ogbn-products before they are narrowed


def load(raw: Path, split_folder: str) -> Source:
    """Read one `ogbg-mol*` dataset with the split in `split/<split_folder>`.

    Each bond stands once in the files and becomes two edges. Missing labels are NaN.
    """
    x = read_table(raw / "raw" / "node-feat.csv.gz", torch.uint8)
    bonds = read_table(raw / "raw" / "edge.csv.gz", torch.int64)
    bond_features = read_table(raw / "raw" / "edge-feat.csv.gz", torch.uint8)
    labels = read_table(raw / "raw" / "graph-label.csv.gz", torch.float32)
    num_nodes = read_table(raw / "raw" / "num-node-list.csv.gz", torch.int64).view(-1).tolist()
    num_bonds = read_table(raw / "raw" / "num-edge-list.csv.gz", torch.int64).view(-1).tolist()
    graphs = [
        Graph(atoms, torch.cat([ends, ends.flip(1)]).t(), label, torch.cat([kind, kind]))
        for atoms, ends, kind, label in zip(
            torch.split(x, num_nodes),
            torch.split(bonds, num_bonds),
            torch.split(bond_features, num_bonds),
            torch.split(labels, 1),
            strict=True,
        )
    ]
    parts = (read_table(raw / "split" / split_folder / f"{part}.csv.gz", torch.int64).view(-1)
             for part in Split._fields)  # fmt: skip
    return Source(graphs, [Split(*parts)], labels.size(1), ATOM_CATEGORIES, BOND_CATEGORIES)


def read_table(path: Path, dtype: torch.dtype) -> Tensor:
    """One csv.gz of numbers as a matrix, read in pieces that are narrowed at once.

    Shapes: (rows, columns).
    """
    import pandas

    # pandas reads the 9.4 million numbers of molhiv's atoms in a second, numpy in ten
    pieces = pandas.read_csv(path, header=None, chunksize=ROWS_AT_ONCE)
    return torch.cat([torch.from_numpy(piece.to_numpy(copy=True)).to(dtype) for piece in pieces])
