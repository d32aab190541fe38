"""Images as graphs of superpixels (Dwivedi et al., JMLR 2023), from the file that PyG reads."""

from __future__ import annotations

from pathlib import Path

import torch

from gbench.data.loaders.pickles import read_torch
from gbench.data.source import Graph, Source, Split


def load(raw: Path, file: str) -> Source:
    """Read three lists of graphs, to train on, to validate on and to test on.

    Features are a superpixel's mean colour and the place of its centre; each has edges from its
    eight nearest, so edges are directed. The distances that the file has for edges are left out:
    they are numbers, and models here take categories. Raises UserError for a damaged file.
    """
    lists = read_torch(raw / file)
    graphs = [
        Graph(
            torch.cat([image["x"], image["pos"]], dim=1).float(),
            image["edge_index"],
            torch.as_tensor(image["y"]).view(1),
        )
        for images in lists
        for image in images
    ]
    sizes = [len(images) for images in lists]
    return Source(graphs, [Split(*torch.arange(len(graphs)).split(sizes))], num_outputs=10)
