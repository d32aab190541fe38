"""Items that no rule can get all right: they equal others that have another label.

Of nodes: the same features, and the same neighbours (or the same with the node itself among them;
of directed edges the same in-neighbours and out-neighbours). Of graphs: isomorphic ones, with all
labels of nodes and edges that training sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gbench.audits.item_labels import codes_of
from gbench.audits.rows import counted

if TYPE_CHECKING:
    from gbench.audits.audited import Audited

Array = np.ndarray[Any, Any]


def in_conflict(data: Audited) -> Array:
    """Labelled items with a twin of another label. Shapes: → (N,) or (G,) bool; pairs: none."""
    found = np.zeros(len(data.y), dtype=bool)
    if data.card.level == "link":
        return found
    codes, labels = _codes(data), codes_of(data)
    has_label = labels >= 0
    groups, _, _ = counted(codes[has_label], labels[has_label])
    found[has_label] = np.bincount(groups)[codes[has_label]] > 1
    return found


def _codes(data: Audited) -> Array:
    """Equal for twins. Shapes: → (N,) or (G,) int64."""
    if data.card.level == "node":
        from gbench.audits.twins import kinds_of

        kinds = kinds_of(data)
        directed = "features + in- and out-neighbours"
        return kinds[directed if directed in kinds else "features + neighbours"]
    from gbench.audits.graph_labels import LabelSet
    from gbench.audits.isomorphism import isomorphism_classes

    seen = LabelSet("all that training sees", data.feature_codes, data.structure.edge_label)
    return isomorphism_classes(seen.coloured(data)).of_graph
