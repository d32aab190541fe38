"""Which rows of a matrix are equal, exactly and in time that is linear in its size.

Legend: N rows or nodes, F columns, E stored edges.
"""

from __future__ import annotations

import numpy as np

from gbench.data.store import GraphStore

Array = np.ndarray
AT_ONCE = 1 << 22  # values whose temporary arrays exist at a time


def codes_of_rows(*matrices: Array) -> Array:
    """Dense ranks of rows, equal where the rows are equal in all matrices.

    Shapes: each (N, F) integers, or floats without NaN (0 and -0 are equal) → (N,) int64. Rows are
    sorted by a hash of 64 bits, and each is then compared with the first of its hash.
    """
    hashes = np.zeros(len(matrices[0]), dtype=np.uint64)
    random = np.random.default_rng(0)
    for matrix in matrices:
        words = -(-matrix.shape[1] * matrix.itemsize // 8)
        factors = random.integers(2**63, size=words, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        for part in _parts(matrix):
            hashes[part] += _words(matrix[part]) @ factors
    _, first, codes = np.unique(hashes, return_index=True, return_inverse=True)
    same = all(
        np.array_equal(matrix[part], matrix[first[codes[part]]])
        for matrix in matrices
        for part in _parts(matrix)
    )
    if not same:  # two rows have one hash by chance
        whole = np.concatenate([_words(matrix) for matrix in matrices], axis=1)
        codes = np.unique(whole, axis=0, return_inverse=True)[1]
    return codes.astype(np.int64).reshape(-1)


def feature_codes(store: GraphStore) -> Array:
    """Equal numbers for nodes with equal features, numbers and categories. Shapes: → (N,) int64."""
    given = (store.x, store.x_numbers)
    return codes_of_rows(*(values.numpy() for values in given if values is not None))


def edge_codes(store: GraphStore) -> Array | None:
    """The same of what the entries of `store.col` carry; None for nothing. Shapes: → (E,) int64."""
    given = (store.edge_code, store.edge_weight, store.edge_attr)
    known = [v.flatten(1) if v.dim() > 1 else v[:, None] for v in given if v is not None]
    return codes_of_rows(*(v.numpy() for v in known)) if known else None


def _parts(matrix: Array) -> list[slice]:
    step = max(1, AT_ONCE // max(matrix.shape[1], 1))
    return [slice(start, start + step) for start in range(0, len(matrix), step)]


def _words(matrix: Array) -> Array:
    """The bytes of each row, filled up with zeros. Shapes: → (N, bytes / 8) uint64."""
    rows = np.ascontiguousarray(matrix + 0) if matrix.dtype.kind == "f" else matrix
    as_bytes = np.ascontiguousarray(rows).view(np.uint8)
    missing = -as_bytes.shape[1] % 8
    if missing:
        as_bytes = np.pad(as_bytes, ((0, 0), (0, missing)))
    return as_bytes.view(np.uint64)
