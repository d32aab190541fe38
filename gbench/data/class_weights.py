"""The weights of classes in a loss, as a dataset's YAML states them or its labels give them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.losses import BALANCED


def with_weights(card: DataCard, y: Tensor, train: Tensor, num_classes: int) -> DataCard:
    """The card with `balanced` weights as the numbers that they are for the training labels.

    Of n labels in C classes, n_c of them c, that is n / (C · n_c) for class c, as scikit-learn has
    it; a class that is not among them counts as if one label were it. Raises UserError for a list
    that has not a weight for each class. Shapes: y (N,) int64, train (n,), the places in it of the
    training part, which alone is looked at.
    """
    weights = card.loss_options.get("weights") if card.labels == "classes" else None
    if weights == BALANCED:
        counts = torch.bincount(y[train], minlength=num_classes).clamp(min=1)
        balanced = (train.numel() / (num_classes * counts.double())).tolist()
        return replace(card, loss_options={**card.loss_options, "weights": balanced})
    if isinstance(weights, list) and len(weights) != num_classes:
        raise UserError(
            f"dataset '{card.name}' has {num_classes} classes, and its loss_options.weights are "
            f"{len(weights)}: give one for each"
        )
    return card
