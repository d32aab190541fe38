"""What can be known of a node's label from features and rounds of colour refinement, and no more.

No network that passes messages along the edges for k rounds tells nodes of one colour of depth k
apart (Morris et al., AAAI 2019; Xu et al., ICLR 2019), so that none scores more than the best
function of colours. It may with positions, random features or the nodes' numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gbench.audits.audited import Colours, kept_colours
from gbench.audits.best import ACCURACY, Best, in_metric
from gbench.audits.fact import Fact
from gbench.audits.item_labels import classes_of, tasks_of

if TYPE_CHECKING:
    from gbench.audits.audited import Audited

DEPTHS = ("0", "1", "2", "3", "inf")

_UNDIRECTED = "from feature rows; undirected, loops dropped"
_DIRECTED = "from feature rows; messages along the stored edges from source to target, loops kept"
_BEST = "of the best rule that sees only the 1-WL colour of depth {k}"
_TEST = "within test: no model that sees only this scores more (0: features alone)"
_SAME = "the same along the stored edges, loops kept"
DEFINITIONS = {
    "colours at depth {k}": f"1-WL colours {_UNDIRECTED}",
    "colours at depth {k} (directed)": f"1-WL colours {_DIRECTED}",
    "stable depth": f"rounds until 1-WL {_UNDIRECTED}, is stable",
    "stable depth (directed)": f"rounds until 1-WL {_DIRECTED}, is stable",
    "colours without features": "stable 1-WL colours from a constant, undirected, loops dropped",
    "ceiling at depth {k}": f"accuracy over all nodes {_BEST} {_UNDIRECTED}",
    "ceiling at depth {k} (directed)": f"accuracy over all nodes {_BEST} {_DIRECTED}",
    "ceiling without features": "accuracy over all nodes of the best rule that sees only the "
    "stable 1-WL colour from a constant",
    "test ceiling at depth {k}": "majority label of each 1-WL colour (depth {k}, from feature "
    f"rows, undirected) {_TEST}",
    "test ceiling at depth {k} (directed)": _SAME,
    "test ROC-AUC ceiling at depth {k}": "highest ROC-AUC of a score constant on each 1-WL colour "
    "within test, which is the share of positive labels; mean over tasks",
    "test ROC-AUC ceiling at depth {k} (directed)": _SAME,
    "test AP ceiling at depth {k}": "average precision of the share of positive labels that each "
    "1-WL colour has within test (another order of colours can have slightly more); mean over "
    "tasks",
    "test AP ceiling at depth {k} (directed)": _SAME,
    "test MAE floor at depth {k}": "median target of each 1-WL colour (depth {k}) within test: no "
    "model that sees only this has less",
    "test MAE floor at depth {k} (directed)": _SAME,
    "test RMSE floor at depth {k}": "mean target of each 1-WL colour (depth {k}) within test: no "
    "model that sees only this has less",
    "test RMSE floor at depth {k} (directed)": _SAME,
    "test R2 ceiling at depth {k}": "R² of the mean target of each 1-WL colour (depth {k}) within "
    "test, mean over targets: no model that sees only this has more",
    "test R2 ceiling at depth {k} (directed)": _SAME,
}


def facts(data: Audited) -> Iterator[Fact]:
    """Colours of the whole dataset, what they tell of all labels, and of each fold's test part."""
    yield from of_colours(data, data.colours, "")
    if data.is_directed:
        yield from of_colours(data, data.directed_colours, " (directed)")
    yield from without_features(data)


def of_colours(data: Audited, colours: Colours, suffix: str) -> Iterator[Fact]:
    """Facts of one refinement, at each depth; `suffix` ends their names."""
    for depth in DEPTHS:
        number = count(at(colours, depth))
        yield Fact("", None, f"colours at depth {depth}{suffix}", number, "count")
    yield Fact("", None, f"stable depth{suffix}", colours.stable_depth, "count")
    y = classes_of(data)
    if y is not None and (y >= 0).any():
        for depth in DEPTHS:
            value = ACCURACY.function(at(colours, depth)[y >= 0], y[y >= 0])
            yield Fact("", None, f"ceiling at depth {depth}{suffix}", value, "%")
    kinds = kinds_of(data)
    if not kinds:
        data.skipped["test ceilings"] = f"no exact one is known for {data.card.metric}"
    for fold, split in enumerate(data.splits):
        for kind, labels in kinds:
            for depth in DEPTHS:
                value = kind.function(at(colours, depth)[split.test], labels[split.test])
                if np.isfinite(value):
                    name = f"test {kind.name} at depth {depth}{suffix}"
                    yield Fact(*data.place(fold), name, value, kind.unit)


def without_features(data: Audited) -> Iterator[Fact]:
    """What the graph alone tells."""
    graph = data.structure
    nothing = np.zeros(graph.num_nodes, dtype=np.int64)
    lists = graph.indptr, graph.indices
    stable = kept_colours(nothing, lists, lists).stable
    yield Fact("", None, "colours without features", count(stable), "count")
    y = classes_of(data)
    if y is not None and (y >= 0).any():
        value = ACCURACY.function(stable[y >= 0], y[y >= 0])
        yield Fact("", None, "ceiling without features", value, "%")


def kinds_of(data: Audited) -> Sequence[tuple[Best, np.ndarray]]:
    """Accuracy, where labels are classes, and the dataset's metric, with the labels for each."""
    kinds: list[tuple[Best, np.ndarray]] = []
    y = classes_of(data)
    if y is not None:
        kinds.append((ACCURACY, y))
    kinds += [(kind, tasks_of(data)) for kind in in_metric(data.card)]
    return kinds


def at(colours: Colours, depth: str) -> np.ndarray:
    """The colours of a depth of DEPTHS. Shapes: → (N,) int64."""
    return colours.stable if depth == "inf" else colours.at(int(depth))


def count(colours: np.ndarray) -> int:
    """How many there are."""
    return int(colours.max(initial=-1)) + 1
