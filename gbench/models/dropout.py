"""Dropout of dense or sparse features."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from torch import Tensor

from gbench.data.sparse import SparseFeatures
from gbench.kernels.dropout import dropout as hashed_dropout

Features = TypeVar("Features", Tensor, SparseFeatures)


def dropout(x: Features, rate: float, training: bool) -> Features:
    """Zero each element with probability `rate` and divide the others by 1 - rate, in training.

    Zeros stay zero, so that of sparse features only the stored values need a draw.
    """
    if not training or rate == 0:
        return x
    if isinstance(x, SparseFeatures):
        return replace(x, values=dropout(x.values, rate, training))
    return hashed_dropout(x, rate)
