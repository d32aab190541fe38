"""Splits that are drawn here because no file fixes them; published ones are read, never redrawn.

All draws use numpy's RandomState: its streams are frozen, so a split stays what it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gbench.data.source import Split

VALIDATION = 0.2  # of a training part that comes without a validation part


def stratified(labels: np.ndarray, train: float, valid: float, seed: int) -> Split:
    """Draw the given fractions of every class; what is left is the test set."""
    random = np.random.RandomState(seed)
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        first = round(train * members.size)
        second = first + round(valid * members.size)
        for part, chosen in zip(parts, np.split(members, [first, second]), strict=True):
            part.append(chosen)
    return _sorted(*(np.concatenate(part) for part in parts))


def spread(labels: np.ndarray, train: float, valid: float, seed: int) -> Split:
    """Draw the given fractions of all items, of every class as alike as its few members allow.

    For classes so small that `stratified` leaves a part empty: the k-th of m members, shuffled,
    stands at (k + 1/2) / m of the row that is cut. No part is empty where there are three items.
    """
    random = np.random.RandomState(seed)
    items, places = [], []
    for label in random.permutation(np.unique(labels)):
        members = random.permutation(np.flatnonzero(labels == label))
        items.append(members)
        places.append((np.arange(members.size) + 0.5) / members.size)
    row = np.concatenate(items)[np.argsort(np.concatenate(places), kind="stable")]
    first = min(max(round(train * row.size), 1), row.size - 2)
    second = min(max(round((train + valid) * row.size), first + 1), row.size - 1)
    return _sorted(*np.split(row, [first, second]))


def with_validation(train: np.ndarray, test: np.ndarray, labels: np.ndarray, seed: int) -> Split:
    """A split that fixes train and test alone: VALIDATION of train, of each class, is validation.

    Shapes: train, test indices of `labels` (N,). At least one item is drawn, and one is left.
    """
    random = np.random.RandomState(seed)
    drawn = [
        members[: round(VALIDATION * members.size)]
        for label in np.unique(labels[train])
        for members in [random.permutation(train[labels[train] == label])]
    ]
    valid = np.concatenate(drawn) if drawn else train[:0]
    if not valid.size:
        valid = random.permutation(train)[: max(1, round(VALIDATION * train.size))]
    return _sorted(np.setdiff1d(train, valid), valid, test)


def twenty_per_class(labels: np.ndarray, seed: int) -> Split:
    """Draw 20 nodes of every class to train on, then 500 and 1,000 of all others.

    The public split of Planetoid has these sizes; Kipf & Welling (2017) and Shchur et al. (2018)
    draw more splits so.
    """
    random = np.random.RandomState(seed)
    first, rest = _per_class(random, labels, [20])
    rest = random.permutation(rest)
    return _sorted(first, rest[:500], rest[500:1500])


def twenty_and_thirty_per_class(labels: np.ndarray, seed: int) -> Split:
    """Draw 20 nodes of every class to train and 30 to validate on; all others are the test set.

    Shchur et al., "Pitfalls of Graph Neural Network Evaluation" (2018).
    """
    return _sorted(*_per_class(np.random.RandomState(seed), labels, [20, 50]))


def of_masks(*masks: Sequence[int] | np.ndarray) -> Split:
    """The split that three masks over all nodes state."""
    return Split(*(torch.from_numpy(np.flatnonzero(mask)) for mask in masks))


def _per_class(
    random: np.random.RandomState, labels: np.ndarray, bounds: list[int]
) -> list[np.ndarray]:
    """Cut every class, shuffled, at `bounds`, and lay pieces of the same place together."""
    classes = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    pieces = (np.split(members, bounds) for members in classes)
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def _sorted(*parts: np.ndarray) -> Split:
    return Split(*(torch.from_numpy(np.sort(part)) for part in parts))


def ten_folds(
    labels: np.ndarray, order: np.ndarray | None = None, *, valid_is_test: bool = False
) -> list[Split]:
    """Ten folds: fold k is the test set, fold (k + 1) mod 10 the validation set.

    The folds are the GIN code's, StratifiedKFold(10, shuffle=True, random_state=0) over the labels,
    taken in `order` where the items once came in another; numbers to predict are not stratified.
    Xu et al. (2019) have no validation set and select on the test fold: `valid_is_test` does so.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    order = np.arange(len(labels)) if order is None else order
    kind = KFold if np.issubdtype(labels.dtype, np.floating) else StratifiedKFold
    folds = kind(n_splits=10, shuffle=True, random_state=0)
    tests = [order[test] for _, test in folds.split(np.zeros(len(labels)), labels[order])]
    splits = []
    for k, test in enumerate(tests):
        valid = test if valid_is_test else tests[(k + 1) % 10]
        train = np.setdiff1d(order, np.concatenate([test, valid]))
        splits.append(_sorted(train, valid, test))
    return splits


def stratified_fifths(labels: np.ndarray) -> list[Split]:
    """Five folds without a validation set: fold k is both it and the test set.

    He et al. (ICML 2023): StratifiedKFold(5, shuffle=True, random_state=12345).
    """
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(5, shuffle=True, random_state=12345).split(labels, labels)
    return [_sorted(train, test, test) for train, test in folds]
