"""ZINC with 12,000 molecules (Dwivedi et al., JMLR 2023), from the files that PyG reads.

The files hold the 249,456 molecules of Jin et al. (ICML 2018) as dense matrices of bonds, and lists
of numbers that pick 10,000, 1,000 and 1,000 of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.pickles import read_pickle
from gbench.data.source import Graph, Source, Split
from gbench.errors import UserError

ATOMS = 28  # kinds of atoms, with their charges and hydrogens
BONDS = 4  # single 1, double 2, triple 3; 0 stands for none and occurs on no edge


def load(raw: Path) -> Source:
    """Read the molecules that `<part>.index` picks from `<part>.pickle`, in that order.

    The target is log P less the synthetic accessibility and the number of large rings, each
    normalised: `logP_SA_cycle_normalized`. Raises UserError for a damaged file.
    """
    graphs: list[Graph] = []
    parts = []
    for part in ("train", "val", "test"):
        molecules = read_pickle(raw / f"{part}.pickle")
        chosen = np.fromstring((raw / f"{part}.index").read_text(), dtype=np.int64, sep=",")
        if chosen.max() >= len(molecules):
            raise UserError(
                f"{raw / part}.index names molecule {chosen.max()}, but {part}.pickle holds "
                f"{len(molecules)}: they do not belong together"
            )
        parts.append(torch.arange(len(graphs), len(graphs) + len(chosen)))
        graphs += [_graph(molecules[i]) for i in chosen]
    return Source(graphs, [Split(*parts)], 1, (ATOMS,), (BONDS,))


def _graph(molecule: dict[str, torch.Tensor]) -> Graph:
    bonds = molecule["bond_type"].long()
    edge_index = bonds.nonzero().t()
    return Graph(
        molecule["atom_type"].long().unsqueeze(1),
        edge_index,
        molecule["logP_SA_cycle_normalized"].float().view(1, 1),
        bonds[edge_index[0], edge_index[1]].unsqueeze(1),
    )
