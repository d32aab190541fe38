"""Connected components of graphs with more entries than SciPy may copy at once."""

from __future__ import annotations

import numpy as np

from gbench.audits.structure import AT_ONCE, Array, pieces, rows_of


def components(indptr: Array, indices: Array, at_once: int = AT_ONCE) -> Array:
    """The component of each node of an undirected graph, numbered from 0.

    Shapes: indptr (N + 1,), indices (E,) → (N,) int64. Rows are taken piece by piece: the
    components of those before are the nodes of the next.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    found = np.arange(len(indptr) - 1)
    count = len(found)
    for first, end in pieces(indptr, at_once):
        ends = found[rows_of(indptr, first, end)], found[indices[indptr[first] : indptr[end]]]
        joined = csr_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(count, count))
        count, names = connected_components(joined, directed=False)
        found = names.astype(np.int64)[found]
    return found
