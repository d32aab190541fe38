"""Graphs of Platonov et al. (ICLR 2023), "A critical look at GNNs under heterophily"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.edges import both_directions
from gbench.data.loaders.splits import of_masks
from gbench.data.source import Graph, Source


def load(raw: Path, prefix: str) -> Source:
    """Read `<prefix>.npz` with its ten splits.

    Each edge stands once in the file and becomes two. Two classes are one task, to be judged by the
    area under the ROC curve, as its authors do.
    """
    with np.load(raw / f"{prefix}.npz", allow_pickle=False) as arrays:
        x = torch.from_numpy(arrays["node_features"])
        y = torch.from_numpy(arrays["node_labels"]).long()
        edge_index = torch.from_numpy(arrays["edges"].T).long()
        masks = [arrays[f"{part}_masks"] for part in ("train", "val", "test")]
    splits = [of_masks(*parts) for parts in zip(*masks, strict=True)]
    num_outputs = int(y.max()) + 1
    if num_outputs == 2:
        y, num_outputs = y.float().unsqueeze(1), 1
    graph = Graph(x, both_directions(edge_index, x.size(0)), y)
    return Source([graph], splits, num_outputs)
