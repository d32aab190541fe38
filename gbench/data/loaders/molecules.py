"""Molecules written as SMILES, turned into graphs by OGB's own function, on all cores.

The processes that do the work import this module, so it imports neither torch nor RDKit.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from gbench.errors import UserError
from gbench.fresh_processes import FreshProcesses
from gbench.offline_ogb import offline_ogb
from gbench.parallel import gathered, num_cores

AT_ONCE = 256  # molecules; a process takes about a second for so many peptides


class Molecules(NamedTuple):
    """Many molecules end to end, each bond as two edges.

    Shapes: sizes (M, 2) atoms and edges of each; atoms (N, 9) and bonds (E, 3) uint8 categories;
    edges (E, 2) int32, atoms counted within their molecule.
    """

    sizes: np.ndarray
    atoms: np.ndarray
    edges: np.ndarray
    bonds: np.ndarray


def from_smiles(smiles: Sequence[str]) -> Molecules:
    """The graphs of `ogb.utils.smiles2graph`, in order.

    Raises UserError where RDKit is missing or cannot read a molecule.
    """
    if importlib.util.find_spec("rdkit") is None:
        raise UserError(
            "these molecules are written as SMILES, and RDKit reads them: "
            "pip install 'gbench[molecules]'"
        )
    bounds = [*range(0, len(smiles), AT_ONCE), len(smiles)]
    pieces = [list(smiles[start:end]) for start, end in pairwise(bounds)]
    # A fresh process, not a fork: this one may hold locks of torch's threads.
    with ProcessPoolExecutor(num_cores(), mp_context=FreshProcesses()) as pool:
        done = gathered(pool, _converted, pieces, "molecules")
    return Molecules(*(np.concatenate(parts) for parts in zip(*done, strict=True)))


def _converted(smiles: list[str]) -> Molecules:
    from rdkit import __version__, rdBase

    rdBase.DisableLog("rdApp.*")  # it would print what is raised here
    smiles2graph, graphs = offline_ogb("utils").smiles2graph, []
    for text in smiles:
        try:
            graphs.append(smiles2graph(text))
        except AttributeError:  # of the None that RDKit makes of it
            raise UserError(f"RDKit {__version__} cannot read the molecule {text}") from None
    return Molecules(
        np.array([(g["num_nodes"], g["edge_index"].shape[1]) for g in graphs]),
        np.concatenate([g["node_feat"] for g in graphs]).astype(np.uint8),
        np.concatenate([g["edge_index"].T for g in graphs]).astype(np.int32),
        np.concatenate([g["edge_feat"] for g in graphs]).astype(np.uint8),
    )
