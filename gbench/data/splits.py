"""Splits that are drawn here because no file fixes them; published ones are read, never redrawn.

All draws use numpy's RandomState: its streams are frozen, so a split stays what it is.
"""

from __future__ import annotations

import numpy as np
import torch

from gbench.data.source import Split


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
    return Split(*(torch.from_numpy(np.sort(np.concatenate(part))) for part in parts))


def ten_folds(labels: np.ndarray) -> list[Split]:
    """Ten stratified folds: fold k is the test set, fold (k + 1) mod 10 the validation set.

    The folds are the GIN code's, StratifiedKFold(10, shuffle=True, random_state=0) over the labels;
    Xu et al. (2019) have no validation set and select on the test folds, which this does not.
    """
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(n_splits=10, shuffle=True, random_state=0)
    tests = [test for _, test in folds.split(np.zeros(len(labels)), labels)]
    everything = np.arange(len(labels))
    splits = []
    for k in range(10):
        test, valid = tests[k], tests[(k + 1) % 10]
        train = np.setdiff1d(everything, np.concatenate([test, valid]))
        splits.append(Split(*(torch.from_numpy(part) for part in (train, valid, test))))
    return splits
