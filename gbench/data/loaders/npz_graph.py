"""Co-purchase and co-author graphs of Shchur et al. (2018), "Pitfalls of GNN Evaluation"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.edges import among, both_directions, largest_component, without_loops
from gbench.data.loaders.splits import stratified, twenty_and_thirty_per_class
from gbench.data.source import Graph, Source
from gbench.errors import unknown

SPLITS = ("random", "random-lcc", "dagnn-lcc-quirk", "random-60-20-20")
RANDOM_SPLITS = 100  # as many as Shchur et al. draw


def load(raw: Path, prefix: str, split: str, as_stored: bool = False) -> Source:
    """Read `<prefix>.npz`, sparse matrices of links and of words, as PyG does.

    Links count in both directions, loops are dropped, and a word is there or not; `as_stored` links
    have the file's direction, loops stay, and words are counted. The splits but the last have 20
    nodes of each class to train and 30 to validate on, drawn

    * `random`: from all nodes;
    * `random-lcc`: from the largest connected component, to which the graph is reduced (Shchur et
      al.);
    * `dagnn-lcc-quirk`: as the code of DAGNN (Liu, Gao and Ji, KDD 2020) draws them for its
      published numbers on the Amazon graphs. It takes positions within the component for nodes of
      the whole graph, so that the labels it sees there are others and classes not balanced.

    `random-60-20-20` cuts all nodes, shuffled, into 60, 20 and 20 %.

    Raises UserError for another split.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    from scipy.sparse import csr_matrix

    with np.load(raw / f"{prefix}.npz", allow_pickle=False) as arrays:
        words, links = (
            csr_matrix(
                tuple(arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr")),
                arrays[f"{name}_shape"],
            )
            for name in ("attr", "adj")
        )
        y = torch.from_numpy(arrays["labels"]).long()
    words.sum_duplicates()
    if not as_stored:
        words.data[words.data > 0] = 1
    x = torch.from_numpy(words.toarray().astype(np.float32, copy=False))
    stored = torch.from_numpy(np.stack(links.tocoo().coords)).long()
    edge_index = both_directions(without_loops(stored), len(y))

    seen = y
    if split in ("random-lcc", "dagnn-lcc-quirk"):
        component = largest_component(edge_index, len(y))
        seen = y[component]
    if as_stored:
        edge_index = stored
    if split == "random-lcc":
        edge_index = among(edge_index, component, len(y))
        x, y = x[component], seen
    if split == "random-60-20-20":
        alike = np.zeros(len(y))
        splits = [stratified(alike, 0.6, 0.2, seed=fold) for fold in range(RANDOM_SPLITS)]
    else:
        labels = seen.numpy()
        splits = [twenty_and_thirty_per_class(labels, seed=fold) for fold in range(RANDOM_SPLITS)]
    return Source([Graph(x, edge_index, y)], splits, num_outputs=int(y.max()) + 1)
