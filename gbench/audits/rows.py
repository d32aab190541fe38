"""Rows by what they hold: sets of neighbours as hashes, equal rows as equal numbers, majorities.

Legend: N nodes, E entries of neighbour lists.
"""

from __future__ import annotations

import numpy as np

from gbench.audits.structure import pieces


def node_hashes(num_nodes: int) -> np.ndarray:
    """128 random bits of each node, the same in every run. Shapes: → (2, N) uint64."""
    random = np.random.Generator(np.random.PCG64(128))
    return random.integers(0, 1 << 64, (2, num_nodes), dtype=np.uint64)


def set_hashes(indptr: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The sum of the hashes of each row's nodes, modulo 2^64 in each half. Shapes: → (2, N).

    Rows hold distinct nodes. Two different sets have the same sum with a probability of 2^-128:
    of a million nodes some two do with 2^-89.
    """
    num_nodes = len(indptr) - 1
    of_node, sums = node_hashes(num_nodes), np.zeros((2, num_nodes), dtype=np.uint64)
    for first, end in pieces(indptr):
        bounds = indptr[first : end + 1] - indptr[first]
        members = indices[indptr[first] : indptr[end]]
        for half in range(2):
            until = np.zeros(len(members) + 1, dtype=np.uint64)
            np.cumsum(of_node[half][members], out=until[1:])
            sums[half, first:end] = until[bounds[1:]] - until[bounds[:-1]]
    return sums


def dense(*keys: np.ndarray) -> np.ndarray:
    """Equal numbers 0, 1, ... for equal rows of several columns, ascending by the first column.

    Shapes: several (N,) without NaN → (N,) int64.
    """
    order = np.lexsort(keys[::-1])
    begins = np.zeros(order.size, dtype=bool)
    for key in keys:
        ordered = key[order]
        begins[1:] |= ordered[1:] != ordered[:-1]
    found = np.empty(order.size, dtype=np.int64)
    found[order] = np.cumsum(begins)
    return found


def counted(codes: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of code and label that occur, by code and then label, and how often each does.

    Shapes: codes, y (N,) int64 of at least 0 → three of (P,).
    """
    width = int(y.max(initial=0)) + 1
    pairs, counts = np.unique(codes * width + y, return_counts=True)
    return pairs // width, pairs % width, counts


def majority(codes: np.ndarray, y: np.ndarray, num_codes: int) -> np.ndarray:
    """The most frequent label of each code, the smallest of equally frequent ones; -1 for none.

    Shapes: codes, y (N,) → (num_codes,) int64.
    """
    code, label, count = counted(codes, y)
    order = np.lexsort((-label, count))  # the last one that is written is the one that stays
    best = np.full(num_codes, -1, dtype=np.int64)
    best[code[order]] = label[order]
    return best
