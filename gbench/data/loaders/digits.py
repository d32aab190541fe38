"""Handwritten digits as pixel graphs: a real dataset that comes with scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.splits import stratified
from gbench.data.source import Graph, Source

SIDE = 8  # the images are 8 × 8 with intensities 0..16


def load(raw: Path) -> Source:
    """Make one graph of 64 pixels per image, each joined to its eight neighbours.

    Features: intensity, row and column, each scaled to 0..1. The split is 60/20/20 per class,
    drawn once with seed 0.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    position = np.indices((SIDE, SIDE)).reshape(2, -1)
    apart = np.abs(position[:, :, None] - position[:, None, :]).max(axis=0)
    edge_index = torch.from_numpy(np.argwhere(apart == 1).T)
    place = torch.from_numpy(position.T / (SIDE - 1)).float()
    graphs = [
        Graph(
            torch.cat([torch.from_numpy(image / 16).float().unsqueeze(1), place], dim=1),
            edge_index,
            torch.tensor([label]),
        )
        for image, label in zip(images, labels, strict=True)
    ]
    return Source(graphs, [stratified(labels, train=0.6, valid=0.2, seed=0)], num_outputs=10)
