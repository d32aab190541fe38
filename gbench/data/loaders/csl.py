"""Circular skip-link graphs (Murphy et al., ICML 2019): classes that 1-WL cannot tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.edges import both_directions
from gbench.data.loaders.splits import stratified_fifths
from gbench.data.source import Graph, Source, Split

NUM_NODES = 41
SKIPS = (2, 3, 4, 5, 6, 9, 11, 12, 13, 16)  # one class each; no two give isomorphic graphs
COPIES = 15
# The folds of Dwivedi et al. (JMLR 2023), drawn by them without a rule that could be repeated. One
# letter per graph, in the order of the classes: t test, v validation, otherwise training.
FOLDS = (
    "v..v.....tt..vt.vv.v...t..tt....vv.t..vtt......t..t.vv..vt..v...vvt...tt...t"
    ".v.vv.tt.......t.tt.v.v...v..vvt..tv.....t.........v.vtvtt.vt...t.tv...v..",
    ".t..tt.v.....vv.t..v.t..t.vv....ttv...t.vv....tvt...t.v..v....t.v...v..vtt.."
    ".v.tt....tv.v.v......tv..tt.v.v.ttvt.v.......v.t..vt.t...v..v......tv.vt.t",
    "v.v..v.t...tt....t..t....tv.vv.v..t....v.v.ttt...v..vvt....t....tt.vvt.v...."
    "tt....v..vt.v.v....t...ttv.v.t.....v.v..tvt..vv.t.t.t.v.......ttv.v.t..v..",
    "t.t.v......v.tvt.v.t..tv....v..t....t.v.vtv.......v.vv.tt.t..t.vv..tt..v...v"
    "..t..t....v.tv..tv..t..v.v..tvt......t.t.v.v.tv..t...v.tv....tv..v...ttv..",
    "..vtv.t.t...v.....tv..v....vtttv.....t.v..tv.....tvt.tv....vt..t.v...v.v..tv"
    ".....v..t.vt.tt...v.v.t....tv.......t.tv.vvttvt...v.....v.tt.v..vt....v.t.",
)


def load(raw: Path, *, split: str = "benchmarking-gnns-5-fold") -> Source:
    """Make 15 copies, each with its nodes renumbered at random, of the ten graphs.

    A graph is a ring of 41 nodes, i ~ i + 1, with skips of length R, i ~ i + R (mod 41). Every node
    carries the feature 1. Split mixer-5-fold-selects-on-test is that of He et al. (ICML 2023), who
    have no validation set.
    """
    random = np.random.RandomState(0)
    graphs = []
    for label, skip in enumerate(SKIPS):
        node = np.arange(NUM_NODES)
        ends = np.concatenate([(node + 1) % NUM_NODES, (node + skip) % NUM_NODES])
        edges = np.stack([np.tile(node, 2), ends])
        for _ in range(COPIES):
            renumbered = torch.from_numpy(random.permutation(NUM_NODES)[edges])
            edge_index = both_directions(renumbered, NUM_NODES)
            graphs.append(Graph(torch.ones(NUM_NODES, 1), edge_index, torch.tensor([label])))
    if split == "benchmarking-gnns-5-fold":
        splits = [_split(letters) for letters in FOLDS]
    else:
        splits = stratified_fifths(torch.cat([graph.y for graph in graphs]).numpy())
    return Source(graphs, splits, num_outputs=len(SKIPS))


def _split(letters: str) -> Split:
    parts = ([i for i, letter in enumerate(letters) if letter == part] for part in ".vt")
    return Split(*(torch.tensor(part) for part in parts))
