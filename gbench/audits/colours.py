"""Colour refinement (1-WL), and the multisets of colours that tell graphs apart.

A node's next colour is that of its own and the multiset of its neighbours' colours (with the labels
of the edges to them): Weisfeiler and Leman 1968. No network that passes messages tells nodes or
graphs apart that this does not (Xu et al., ICLR 2019). A multiset is told by the sum of 128 random
bits of each member, and colours are numbered anew in each round, so that two different multisets of
a dataset of 10^9 nodes fall together with probability 10^-20.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gbench.audits.structure import Array, pieces

LANES = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))
_LABEL = np.uint64(0x8CB92BA72F3D8DD7)


def refine(
    initial: Array, indptr: Array, indices: Array, edge_label: Array | None = None
) -> Iterator[Array]:
    """Colours at depth 0, 1, 2, ...; the last that is yielded is stable.

    Shapes: initial (N,) integers; indptr (N + 1,) and indices (E,) the neighbours that node i
    receives from at indptr[i] to indptr[i + 1]; edge_label (E,) integers of each entry; colours
    (N,) int64, dense ranks that are comparable over all nodes given.
    """
    colours = np.unique(initial, return_inverse=True)[1].astype(np.int64).reshape(-1)
    count = _count(colours)
    while True:
        yield colours
        colours = refined(colours, indptr, indices, edge_label)
        if _count(colours) == count:
            return
        count = _count(colours)


def multisets(colours: Array, node_ptr: Array) -> Array:
    """The dense rank of each graph's multiset of colours. Shapes: (N,), (G + 1,) → (G,) int64."""
    sums = _sums(colours, np.arange(len(colours)), node_ptr, None)
    return _ranks(np.diff(node_ptr), *sums)


def _count(colours: Array) -> int:
    return int(colours.max()) + 1 if len(colours) else 0


def refined(
    colours: Array, indptr: Array, indices: Array, edge_label: Array | None = None
) -> Array:
    """The colours of the next depth. Shapes: as of `refine`."""
    return _ranks(colours, *_sums(colours, indices, indptr, edge_label))


def _sums(
    colours: Array, indices: Array, indptr: Array, edge_label: Array | None
) -> tuple[Array, Array]:
    """Two 64-bit sums over each row of random numbers of its members. Shapes: → 2 × (N,) uint64."""
    lanes = [mixed(colours, lane) for lane in LANES]
    sums = [np.zeros(len(indptr) - 1, dtype=np.uint64) for _ in lanes]
    for first, end in pieces(indptr):
        part = slice(int(indptr[first]), int(indptr[end]))
        at = indptr[first : end + 1] - indptr[first]
        members = indices[part]
        label = None if edge_label is None else mixed(edge_label[part], _LABEL)
        for lane, total in zip(lanes, sums, strict=True):
            values = lane[members]
            if label is not None:
                values ^= label
                values = mixed(values, _LABEL)
            before = np.zeros(len(values) + 1, dtype=np.uint64)
            np.cumsum(values, out=before[1:])  # modulo 2^64, as are the differences
            total[first:end] = before[at[1:]] - before[at[:-1]]
    return sums[0], sums[1]


def _ranks(own: Array, one: Array, other: Array) -> Array:
    """Dense ranks of triples: sorted by 64 bits of them, of which equal ones are compared whole."""
    if not len(own):
        return np.zeros(0, dtype=np.int64)
    key = mixed(own, _LABEL) + mixed(one, LANES[0])
    order = np.argsort(key)
    differs = _differs((key, own, one, other), order)
    if (differs & (key[order[1:]] == key[order[:-1]])).any():
        order = np.lexsort((other, one, own, key))
        differs = _differs((key, own, one, other), order)
    ranks = np.empty(len(own), dtype=np.int64)
    ranks[order] = np.concatenate([[0], np.cumsum(differs)])
    return ranks


def _differs(values: tuple[Array, ...], order: Array) -> Array:
    """Where an item differs from the one before it in that order. Shapes: → (N - 1,) bool."""
    found = np.zeros(len(order) - 1, dtype=bool)
    for value in values:
        placed = value[order]
        found |= placed[1:] != placed[:-1]
    return found


def mixed(values: Array, seed: np.uint64) -> Array:
    """64 bits that look random of each value: splitmix64, Steele, Lea and Flood 2014."""
    bits = values.astype(np.uint64)
    bits += np.uint64(1)
    bits *= seed
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return bits
