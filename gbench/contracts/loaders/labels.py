"""No feature is the label.

Legend: T labelled nodes or graphs, F features, C classes or targets.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.contracts.contract import BrokenError, Contract, NotApplicableError
from gbench.contracts.loaders.subject import Loader
from gbench.data.dataset import Dataset

FEWEST = 5  # of a class, for an equality to be no accident
EQUAL = 1 - 1e-6  # the correlation


def check(loader: Loader) -> None:
    dataset = loader.dataset
    if dataset.spec.level == "link":
        raise NotApplicableError("pairs have labels, and nodes have features")
    ids = torch.cat([*dataset.split]).unique()
    if ids.numel() < 2 * FEWEST:
        raise NotApplicableError(f"{ids.numel()} labels are too few to tell")
    for name, features in _features(dataset, ids).items():
        told = _equal(features, dataset.store.y[ids])
        if told is not None:
            raise BrokenError(f"{name} {told} of x is the label, or tells it one to one")


def _features(dataset: Dataset, ids: Tensor) -> dict[str, Tensor]:
    """What x says of each labelled thing. Shapes: (T, F)."""
    if dataset.spec.level == "node":
        return {"column": dataset.store.x[ids].double()}
    batch = dataset.store.batch(ids)
    x = batch.x.double()
    total = x.new_zeros(ids.numel(), x.size(1)).index_add_(0, batch.batch, x)
    mean = total / batch.node_ptr.diff().unsqueeze(1)
    return {
        "the mean over a graph of column": mean,
        "of a graph's first node column": x[batch.node_ptr[:-1].long()],
    }


def _equal(features: Tensor, y: Tensor) -> int | None:
    """The first column that equals a label, up to scale and names. Shapes: (T, F), (T, C)."""
    targets = _targets(y)
    for target in targets.T:
        known = ~target.isnan()
        if int(known.sum()) < 2 * FEWEST:
            continue
        correlation = _standard(features[known]).T @ _standard(target[known].unsqueeze(1))
        found = (correlation.abs() > EQUAL).any(1).nonzero()
        if found.numel():
            return int(found[0])
    if y.is_floating_point():
        return None
    number = y.unique().numel()
    for index, column in enumerate(features.T):
        values = column.unique(return_inverse=True)
        if number == values[0].numel() > 1:
            pairs = (values[1] * (int(y.max()) + 1) + y).unique().numel()
            if pairs == number and int(y.bincount()[y.unique()].min()) >= FEWEST:
                return index
    return None


def _targets(y: Tensor) -> Tensor:
    """Labels as numbers, of classes each that is common as well. Shapes: (T, C)."""
    if y.is_floating_point():
        return y.double().view(y.size(0), -1)
    common = [label for label, count in enumerate(y.bincount().tolist()) if count >= FEWEST]
    return torch.stack([y.double(), *((y == label).double() for label in common)], 1)


def _standard(x: Tensor) -> Tensor:
    """Columns with mean 0 and length 1; what does not vary is 0. Shapes: (T, F)."""
    centred = x - x.mean(0)
    length = centred.norm(dim=0)
    return centred / torch.where(length > 1e-9, length, torch.inf)


CONTRACT = Contract(
    "labels",
    "no column of the features equals the label",
    "the model reads the answer: its results mean nothing",
    "the columns that the loader puts into x",
    check,
    ("sound",),
)
