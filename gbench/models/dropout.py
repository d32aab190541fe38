"""Dropout of dense or sparse features."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from torch import Tensor

from gbench.data.sparse import SparseFeatures
from gbench.kernels.dropout import dropout as hashed_dropout
from gbench.kernels.seeds import seed_on

Features = TypeVar("Features", Tensor, SparseFeatures)


def dropout(x: Features, rate: float, training: bool) -> Features:
    """Zero each element with probability `rate` and divide the others by 1 - rate, in training.

    Zeros stay zero, so that of sparse features only the stored values need a draw. On a GPU the
    layer that reads them draws, which is a launch less.
    """
    if not training or rate == 0:
        return x
    if isinstance(x, SparseFeatures):
        if x.values.is_cuda:
            return replace(x, seed=seed_on(x.values.device), rate=rate)
        return replace(x, values=dropout(x.values, rate, training))
    return hashed_dropout(x, rate)
