"""Items that no rule can get all right: they equal others that have another label.

Of nodes: the same features, and the same neighbours (or the same with the node itself among them;
of directed edges the same in-neighbours and out-neighbours). Of graphs: isomorphic ones, with all
labels of nodes and edges that training sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gbench.audits.structure import rows_of

if TYPE_CHECKING:
    from gbench.audits.audited import Audited
    from gbench.audits.coloured import Coloured

Array = np.ndarray[Any, Any]


def in_conflict(data: Audited) -> Array:
    """Labelled items with a twin of another label. Shapes: → (N,) or (G,) bool; pairs: none."""
    size = len(data.y)
    codes = _codes(data)
    labels = _labels(data)
    has_label = data.labelled & (codes >= 0)
    groups, kinds = codes[has_label], labels[has_label]
    _, label_of = np.unique(kinds, return_inverse=True)
    pairs = np.unique(np.stack([groups, label_of]), axis=1)
    number = np.bincount(pairs[0], minlength=int(codes.max(initial=0)) + 1)
    found = np.zeros(size, dtype=bool)
    found[has_label] = number[groups] > 1
    return found


def _codes(data: Audited) -> Array:
    """Equal for twins, -1 for what has none. Shapes: → (N,) or (G,) int64."""
    if data.card.level == "node":
        from gbench.audits.twins import kinds_of

        kinds = kinds_of(data)
        directed = "features + in- and out-neighbours"
        return kinds[directed if directed in kinds else "features + neighbours"]
    if data.card.level == "graph":
        from gbench.audits.isomorphism import isomorphism_classes

        return isomorphism_classes(_coloured(data)).of_graph
    return np.full(len(data.y), -1, dtype=np.int64)


def _coloured(data: Audited) -> Coloured:
    """The graphs with all that training sees: features, what edges carry, loops and directions."""
    from gbench.audits.coloured import Coloured, dense

    s = data.structure
    loops = np.zeros(s.num_nodes, dtype=bool)
    row = rows_of(s.out_ptr)
    loops[row[row == s.out_indices]] = True
    edges = s.edge_label
    if data.is_directed:
        ends = rows_of(s.indptr), s.indices.astype(np.int64)
        stored = row * s.num_nodes + s.out_indices
        there, back = (np.isin(u * s.num_nodes + v, stored) for u, v in (ends, ends[::-1]))
        direction = there + 2 * back
        edges = dense(direction) if edges is None else dense(edges, direction)
    nodes = dense(data.feature_codes, loops)
    return Coloured(s.node_ptr, s.indptr, s.indices.astype(np.int64), nodes, edges)


def _labels(data: Audited) -> Array:
    """A number for each label; several tasks or targets, missing ones too, are one label together.

    Shapes: → (N,) or (G,).
    """
    if data.y.ndim == 1:
        return data.y
    known = np.nan_to_num(data.y, nan=np.inf)
    return np.asarray(np.unique(known, axis=0, return_inverse=True)[1].reshape(-1))
