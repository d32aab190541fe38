"""EXP (Abboud et al., IJCAI 2021): pairs of formulas as graphs that 1-WL cannot tell apart.

Graphs 2k and 2k + 1 are a pair, of which one formula can be satisfied and the other cannot.
"""

from __future__ import annotations

from pathlib import Path

import torch

from gbench.data.loaders.pickles import read_pickle
from gbench.data.loaders.splits import stratified_fifths
from gbench.data.source import Graph, Source, Split


def load(raw: Path, *, split: str) -> Source:
    """Read `GRAPHSAT.pkl`; a node is a literal or a clause (category 0 or 1).

    Split gnn-rni-10-fold is the authors': fold k tests the k-th tenth of the graphs and validates
    on the k-th tenth of the others, both in the order of the file, so that pairs stay together.
    Split mixer-5-fold-selects-on-test is that of He et al. (ICML 2023), who have no validation set.
    Raises UserError for a damaged file.
    """
    graphs = [Graph(g.x, g.edge_index, g.y) for g in read_pickle(raw / "GRAPHSAT.pkl")]
    if split == "gnn-rni-10-fold":
        splits = [_tenths(len(graphs), k) for k in range(10)]
    else:
        splits = stratified_fifths(torch.cat([graph.y for graph in graphs]).numpy())
    return Source(graphs, splits, 2, node_categories=(2,))


def _tenths(num_graphs: int, k: int) -> Split:
    everything = torch.arange(num_graphs)
    rest, test = _cut(everything, k)
    train, valid = _cut(rest, k)
    return Split(train, valid, test)


def _cut(items: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All but the k-th tenth, and the k-th tenth."""
    size = len(items) // 10
    chosen = torch.zeros(len(items), dtype=torch.bool)
    chosen[k * size : (k + 1) * size] = True
    return items[~chosen], items[chosen]
