"""Stable colours from colours of some depth, looking again only at nodes whose neighbours changed.

Rounds of refinement can be as many as a path is long, and in most of them few nodes get another
colour. Here a class that is split keeps its number for one part, so that a round costs what the
other parts' edges do. Same rounds as `gbench.audits.colours.refine`, other numbers.

Legend: N nodes, E entries, M nodes that got another colour in the last round.
"""

from __future__ import annotations

import numpy as np

from gbench.audits.colours import LANES, mixed, refined
from gbench.audits.structure import Array

Lists = tuple[Array, Array]  # ptr (N + 1,) and indices (E,)


def settled(colours: Array, senders: Lists, receivers: Lists) -> tuple[Array, int]:
    """Stable colours, and after how many more rounds they are.

    Shapes: colours (N,) int64 of dense ranks, of some depth of refinement; senders, of each node
    the nodes that it receives from, and receivers, of each node the nodes that receive from it:
    the same lists where edges have no direction. → (N,) int64, dense.
    """
    finer = refined(colours, *senders)
    if not len(colours) or finer.max() == colours.max():
        return colours, 0
    sizes = np.zeros(len(colours), dtype=np.int64)
    counts = np.bincount(colours)
    sizes[: len(counts)] = counts
    found, number = colours.copy(), len(counts)
    nodes, before, number = _split(found, sizes, number, np.arange(len(colours)), (finer,))
    rounds = 0
    while len(nodes):
        rounds += 1
        values = [mixed(found[nodes], lane) - mixed(before, lane) for lane in LANES]
        touched, sums = _received(nodes, values, *receivers)
        nodes, before, number = _split(found, sizes, number, touched, sums)
    return found, rounds


def _received(
    nodes: Array, values: list[Array], ptr: Array, indices: Array
) -> tuple[Array, tuple[Array, ...]]:
    """Who receives from `nodes`, and the sum of what they do, of those where it is not 0.

    Shapes: nodes (M,), values two of (M,) uint64 → (R,), two of (R,).
    """
    degree = ptr[nodes + 1] - ptr[nodes]
    sender = np.repeat(np.arange(len(nodes)), degree)
    first = np.cumsum(degree) - degree
    entry = np.arange(len(sender)) + np.repeat(ptr[nodes] - first, degree)
    receiver = indices[entry]
    order = np.argsort(receiver, kind="stable")
    receiver, sender = receiver[order], sender[order]
    begins = np.ones(len(receiver), dtype=bool)
    begins[1:] = receiver[1:] != receiver[:-1]
    starts = np.flatnonzero(begins)
    if not len(starts):
        return receiver, (np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    sums = tuple(np.add.reduceat(value[sender], starts) for value in values)
    other = (sums[0] != 0) | (sums[1] != 0)
    return receiver[starts[other]].astype(np.int64), tuple(each[other] for each in sums)


def _split(
    colours: Array, sizes: Array, number: int, nodes: Array, keys: tuple[Array, ...]
) -> tuple[Array, Array, int]:
    """Give new numbers to `nodes` that differ from others of their class, in place.

    Nodes that are not listed are alike within each class: they keep its number, and where there are
    none the largest group does. Shapes: colours and sizes (N,), nodes (R,), keys (R,) each → the
    nodes with new numbers (M,), their old ones (M,), and how many classes there are.
    """
    colour = colours[nodes]
    order = np.lexsort((*keys, colour))
    nodes, colour = nodes[order], colour[order]
    begins = np.ones(len(nodes), dtype=bool)
    begins[1:] = colour[1:] != colour[:-1]
    for key in keys:
        begins[1:] |= key[order][1:] != key[order][:-1]
    starts = np.flatnonzero(begins)
    of_group = colour[starts]
    counts = np.diff(np.append(starts, len(nodes)))
    listed = np.zeros(0, dtype=np.int64)
    if len(starts):
        firsts = np.flatnonzero(np.append(True, of_group[1:] != of_group[:-1]))
        listed = np.repeat(np.add.reduceat(counts, firsts), np.diff(np.append(firsts, len(counts))))
    keeps = np.zeros(len(starts), dtype=bool)
    whole = np.flatnonzero(listed == sizes[of_group])  # no node of the class is left unlisted
    if len(whole):
        by_size = whole[np.lexsort((counts[whole], of_group[whole]))]
        last = np.append(of_group[by_size][1:] != of_group[by_size][:-1], True)
        keeps[by_size[last]] = True
    new = np.flatnonzero(~keeps)
    names = number + np.arange(len(new))
    np.subtract.at(sizes, of_group[new], counts[new])
    sizes[names] = counts[new]
    moved = np.repeat(~keeps, counts)
    colours[nodes[moved]] = np.repeat(names, counts[new])
    return nodes[moved], colour[moved], number + len(new)
