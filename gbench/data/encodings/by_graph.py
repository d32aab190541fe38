"""Work of all graphs of a dataset in pieces: whole graphs one after another, on all cores.

Legend: B graphs, Q pairs of nodes of all graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gbench.parallel import in_threads

PAIRS_AT_ONCE = 1 << 20  # of a piece, about


def pairs_of(node_ptr: Tensor, width: int, work: Callable[..., object], title: str) -> Tensor:
    """Values of all pairs of nodes, filled by `work(first, last, node_ptr, pair_ptr, out)`.

    It is called for graphs first..last - 1 at a time, with all else as numpy arrays: node_ptr and
    pair_ptr (B + 1,) int64, out (Q, width) float32 of zeros; and must let go of the GIL.
    """
    ptr = node_ptr.numpy().astype(np.int64)
    pair_ptr = np.concatenate([[0], np.cumsum(np.diff(ptr) ** 2)])
    out = torch.zeros(int(pair_ptr[-1]), width)
    array: Any = out.numpy()
    marks = np.searchsorted(pair_ptr, np.arange(0, pair_ptr[-1], PAIRS_AT_ONCE), side="right") - 1
    bounds = [*np.unique(marks).tolist(), ptr.size - 1]

    def piece(graphs: tuple[int, int]) -> None:
        work(*graphs, ptr, pair_ptr, array)

    in_threads(piece, [*pairwise(bounds)], title)
    return out
