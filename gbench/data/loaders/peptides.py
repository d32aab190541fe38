"""Peptides as molecules (Dwivedi et al., Long Range Graph Benchmark, NeurIPS 2022).

In either of two layouts: the graphs that PyG's loader reads, one file per part, or the SMILES and
the lists of parts that the authors' own loader reads.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gbench.data.loaders.molecules import from_smiles
from gbench.data.loaders.ogb import ATOM_CATEGORIES, BOND_CATEGORIES
from gbench.data.loaders.pickles import read_pickle, read_torch
from gbench.data.source import Graph, Source, Split

PARTS = ("train", "val", "test")


def load(raw: Path, table: str, split_file: str, targets: list[str]) -> Source:
    """Read `<part>.pt`, or else the table of SMILES and targets and the pickled lists of parts.

    One target column holds lists (of 0 and 1, the functions of a peptide); several hold numbers,
    each then less its mean and divided by its standard deviation over all peptides, as the authors
    do. Raises UserError for a damaged file and for SMILES without RDKit.
    """
    if (raw / f"{PARTS[0]}.pt").exists():
        graphs, parts = _of_graphs(raw)
    else:
        graphs = _of_smiles(raw / table, targets)
        lists = read_pickle(raw / split_file)
        parts = [torch.as_tensor(lists[part]).long() for part in PARTS]
    num_tasks = graphs[0].y.size(1)
    return Source(graphs, [Split(*parts)], num_tasks, ATOM_CATEGORIES, BOND_CATEGORIES)


def _of_graphs(raw: Path) -> tuple[list[Graph], list[Tensor]]:
    lists = [read_torch(raw / f"{part}.pt") for part in PARTS]
    graphs = [
        Graph(x, edge_index, y.float(), edge_attr)
        for molecules in lists
        for x, edge_attr, edge_index, y in molecules
    ]
    return graphs, [*torch.arange(len(graphs)).split([len(molecules) for molecules in lists])]


def _of_smiles(table: Path, targets: list[str]) -> list[Graph]:
    import pandas

    rows = pandas.read_csv(table)
    if len(targets) == 1:
        y = np.array([json.loads(text) for text in rows[targets[0]]])
    else:
        y = ((rows[targets] - rows[targets].mean()) / rows[targets].std()).to_numpy()
    sizes, atoms, edges, bonds = from_smiles(rows["smiles"].tolist())
    num_atoms, num_edges = sizes.T.tolist()
    return [
        Graph(*parts)
        for parts in zip(
            torch.from_numpy(atoms).split(num_atoms),
            torch.from_numpy(edges).t().split(num_edges, dim=1),
            torch.from_numpy(y).float().split(1),
            torch.from_numpy(bonds).split(num_edges),
            strict=True,
        )
    ]
