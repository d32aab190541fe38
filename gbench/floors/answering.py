"""What a floor answers, in the form in which metrics read what a network says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gbench.data.dataset import Dataset
from gbench.floors.floor import Answers, Array, Floor
from gbench.metrics import Labels
from gbench.train.metrics import score

LEAST = np.finfo(np.float64).tiny  # of a probability, whose logarithm is finite


class Answered(NamedTuple):
    """Shapes: logits (T, C) or (T, K) float32, as a network's; y (T,) or (T, K)."""

    logits: Tensor
    y: Tensor


@dataclass(frozen=True, eq=False)
class FloorTask:
    """A floor that was fitted, and the data that it answers about: asked as a network's Task is."""

    model: Floor
    dataset: Dataset
    fitted: Answers

    def part(self, split: str) -> Tensor:
        """The items of "train", "valid" or "test". Shapes: → (T,) int64."""
        ids: Tensor = getattr(self.dataset.split, split)
        return ids

    def evaluate(self, split: str, context: object = None) -> float:
        """The dataset's metric on "train", "valid" or "test"."""
        return score(self.dataset.card, *self.answers_to(self.part(split)))

    def answers_to(self, ids: Tensor, context: object = None, what: str = "") -> Answered:
        """What it says of nodes, graphs or pairs, and their labels."""
        store = self.dataset.store
        if self.dataset.card.level == "link":
            assert store.pairs is not None
            said = logits(self.fitted(store.pairs[ids].numpy()), "links")
        else:
            said = logits(self.fitted(ids.numpy()), self.dataset.card.labels)
        return Answered(said, store.y[ids])


def logits(said: Array, labels: Labels) -> Tensor:
    """Logarithms of classes' probabilities, log-odds of tasks'; numbers and links as they are.

    In float32, as a network's: what differs less is a tie. Shapes: (T, C) → (T, C).
    """
    if labels == "classes":
        said = np.log(np.maximum(said, LEAST))
    elif labels == "tasks":
        said = np.log(np.maximum(said, LEAST)) - np.log(np.maximum(1 - said, LEAST))
    return torch.from_numpy(np.ascontiguousarray(said, dtype=np.float32))
