"""Twins among nodes: those with equal features, equal neighbours, or both.

No network that passes messages can tell twins by features and neighbours apart: they have one
prediction, so that of two labels one is wrong.

Legend: N nodes. A kind of twins is codes (N,) int64: equal for twins, -1 for nodes that are left
out. Sets of neighbours are compared by 128 bits: see gbench/audits/rows.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gbench.audits.equal_rows import codes_of_rows
from gbench.audits.fact import Fact
from gbench.audits.item_labels import codes_of
from gbench.audits.rows import counted, dense, node_hashes, set_hashes

if TYPE_CHECKING:
    from gbench.audits.audited import Audited
    from gbench.audits.structure import Structure

MOST_VALUES = 1 << 28  # of features, that are copied: 1 GiB

# what twins share, and what a node needs to have twins at all
KINDS = {
    "features + neighbours": "same features and same open or same closed neighbourhood "
    "(undirected, loops dropped)",
    "neighbours": "same open or same closed neighbourhood (undirected, loops dropped), at least "
    "one neighbour; features ignored",
    "features + out-neighbours": "same features and same set of out-neighbours, loops kept",
    "out-neighbours": "same set of out-neighbours (loops kept), at least one of them not the node "
    "itself; features ignored",
    "features + in- and out-neighbours": "same features, same set of in- and same set of "
    "out-neighbours, loops kept",
    "in- and out-neighbours": "same sets of in- and of out-neighbours (loops kept), at least one "
    "neighbour not the node itself; features ignored",
}
DEFINITIONS = {
    "distinct feature rows": "different rows of features, as stored",
    "nodes with duplicate features": "nodes that share their feature row with another node, "
    "all-zero rows included",
    "nodes with duplicate features, not zero": "the same without all-zero rows",
    "distinct feature rows, divided by sums": "after dividing rows by their sums; told where no "
    "feature is negative",
    "conflicting duplicate-feature groups": "groups of nodes with one feature row and more than "
    "one label",
    "conflicting nodes with duplicate features": "nodes in those groups",
}
for _kind, _shared in KINDS.items():
    DEFINITIONS |= {
        f"twins by {_kind}": "nodes with a twin: " + _shared,
        f"twin groups by {_kind}": "groups of such twins",
        f"conflicting twin groups by {_kind}": "groups of such twins with more than one label",
        f"conflicting twins by {_kind}": "nodes in those groups",
    }


def facts(data: Audited) -> Iterator[Fact]:
    """Twins of every kind that there is; conflicts only where there are labels."""
    for name, count in of_features(data):
        yield Fact("", None, name, count, "count")
    y = codes_of(data)
    has_labels = bool((y >= 0).any())
    if has_labels:
        found = groups(data.feature_codes, y)
        yield Fact("", None, "conflicting duplicate-feature groups", found[2], "count")
        yield Fact("", None, "conflicting nodes with duplicate features", found[3], "count")
    for kind, codes in kinds_of(data).items():
        nodes, number, conflicting, in_conflict = groups(codes, y)
        yield Fact("", None, f"twins by {kind}", nodes, "count")
        yield Fact("", None, f"twin groups by {kind}", number, "count")
        if has_labels:
            yield Fact("", None, f"conflicting twin groups by {kind}", conflicting, "count")
            yield Fact("", None, f"conflicting twins by {kind}", in_conflict, "count")


def of_features(data: Audited) -> Iterator[tuple[str, int]]:
    """How many rows of features differ, and how many nodes share theirs."""
    sizes = np.bincount(data.feature_codes)
    shares = sizes[data.feature_codes] > 1
    yield "distinct feature rows", len(sizes)
    yield "nodes with duplicate features", int(shares.sum())
    x = data.store.x.numpy()
    if x.dtype.kind != "f" or data.store.x_numbers is not None:
        return
    yield "nodes with duplicate features, not zero", int((shares & ~data.zeros[0]).sum())
    name = "distinct feature rows, divided by sums"
    if x.size > MOST_VALUES:
        data.skipped[name] = f"of {x.size:,} values, where at most {MOST_VALUES:,} are divided"
    elif x.min(initial=0) >= 0:
        sums = x.sum(axis=1, keepdims=True)
        yield name, int(codes_of_rows(x / np.where(sums > 0, sums, 1)).max(initial=-1)) + 1


def kinds_of(data: Audited) -> dict[str, np.ndarray]:
    """The same as `kinds`, of a dataset, computed once."""
    if "twins" not in data.memo:
        data.memo["twins"] = kinds(data.structure, data.feature_codes, data.is_directed)
    found: dict[str, np.ndarray] = data.memo["twins"]
    return found


def kinds(graph: Structure, feature_codes: np.ndarray, is_directed: bool) -> dict[str, np.ndarray]:
    """The codes of every kind of twins by its name: of KINDS the directed ones where they differ.

    Shapes: feature_codes (N,) int64 → (N,) int64 each.
    """
    found = {
        "features + neighbours": undirected_twins(graph.indptr, graph.indices, feature_codes),
        "neighbours": undirected_twins(graph.indptr, graph.indices),
    }
    if not is_directed:
        return found
    outs = dense(*set_hashes(graph.out_ptr, graph.out_indices))
    both = dense(outs, *set_hashes(graph.in_ptr, graph.in_indices))
    has_out = others(graph.out_ptr, graph.out_indices)
    has_any = has_out | others(graph.in_ptr, graph.in_indices)
    return {
        **found,
        "features + out-neighbours": dense(feature_codes, outs),
        "out-neighbours": np.where(has_out, outs, -1),
        "features + in- and out-neighbours": dense(feature_codes, both),
        "in- and out-neighbours": np.where(has_any, both, -1),
    }


def undirected_twins(
    indptr: np.ndarray, indices: np.ndarray, feature_codes: np.ndarray | None = None
) -> np.ndarray:
    """Twins by open or by closed neighbourhood, and by features where these are given.

    A node has twins of one sort alone: u and v with one open neighbourhood are not joined, v and w
    with one closed neighbourhood are, so that w and therefore v would be neighbours of u. Without
    features nodes without neighbours are left out.

    Shapes: indptr (N + 1,), indices (E,) undirected and without loops, feature_codes (N,) → (N,).
    """
    sums = set_hashes(indptr, indices)
    codes = feature_codes
    if codes is None:
        codes = np.zeros(len(indptr) - 1, dtype=np.int64)
    opened = dense(codes, *sums)
    closed = dense(codes, *(sums + node_hashes(len(indptr) - 1)))
    is_closed = np.bincount(closed)[closed] > 1
    twins = np.where(is_closed, closed + opened.size, opened)
    return twins if feature_codes is not None else np.where(np.diff(indptr) > 0, twins, -1)


def others(indptr: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Whether each row has an entry other than the node itself. Shapes: (N + 1,), (E,) → (N,)."""
    sizes = np.diff(indptr)
    found = sizes > 1
    single = np.flatnonzero(sizes == 1)
    found[single] = indices[indptr[single]] != single
    return found


def groups(codes: np.ndarray, y: np.ndarray) -> tuple[int, int, int, int]:
    """Nodes with a twin, groups of them, groups with more than one label, and the nodes in these.

    Shapes: codes (N,) of twins, y (N,) codes of labels, -1 for none.
    """
    codes, y = codes[codes >= 0], y[codes >= 0]
    if not codes.size:
        return 0, 0, 0, 0
    sizes = np.bincount(codes)
    code, _, _ = counted(codes[y >= 0], y[y >= 0])
    conflicting = np.bincount(code, minlength=sizes.size) > 1
    several = sizes > 1
    return (
        int(sizes[several].sum()),
        int(several.sum()),
        int(conflicting.sum()),
        int(sizes[conflicting].sum()),
    )
