"""Wiki-CS: articles on computer science, joined by hyperlinks (Mernyei and Cangea, 2020)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.edges import both_directions
from gbench.data.loaders.splits import of_masks
from gbench.data.source import Graph, Source
from gbench.errors import unknown

VALIDATION = {
    "20-splits": ("val_masks",),
    "20-splits-stopping": ("stopping_masks",),
    "20-splits-validation-and-stopping": ("val_masks", "stopping_masks"),
}


def load(raw: Path, split: str) -> Source:
    """Read `data.json` with its twenty splits, which have one test set; links count both ways.

    The authors set two parts aside: one to stop training on, one to choose hyperparameters on.
    Under `20-splits` the latter is the validation set, as in most papers since; under
    `20-splits-stopping` the former, on which the authors choose the weights that they test; under
    `20-splits-validation-and-stopping` both, as in the code of Luo et al. Raises UserError for
    another split.
    """
    if split not in VALIDATION:
        raise unknown("split", split, VALIDATION)
    data = json.loads((raw / "data.json").read_text())
    x = torch.tensor(data["features"], dtype=torch.float32)
    y = torch.tensor(data["labels"])
    links = data["links"]
    sources = [node for node, targets in enumerate(links) for _ in targets]
    edge_index = torch.tensor([sources, [target for targets in links for target in targets]])

    splits = [
        of_masks(train, np.any(valid, axis=0), data["test_mask"])
        for train, *valid in zip(
            data["train_masks"], *(data[masks] for masks in VALIDATION[split]), strict=True
        )
    ]
    graph = Graph(x, both_directions(edge_index, len(y)), y)
    return Source([graph], splits, num_outputs=int(y.max()) + 1)
