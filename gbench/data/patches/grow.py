"""From parts of graphs to overlapping patches, in compiled walks over the edges.

Legend: B graphs with P patches each, N nodes of these graphs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gbench.data.patches.metis import Graphs
from gbench.data.patches.patch_set import Patches
from gbench.kernels.cpu.rows import compiled
from gbench.kernels.csr import CSR


def grown(
    graphs: Graphs, ids: np.ndarray, part: np.ndarray, num_patches: int, hops: int
) -> Patches:
    """Grow the parts of the graphs `ids` to patches: by `hops` along edges of either direction.

    Shapes: ids (B,), part (N,) as `assign` of metis.py gives it.
    """
    sizes = graphs.node_ptr[ids + 1] - graphs.node_ptr[ids]
    first = np.concatenate([[0], np.cumsum(sizes)])
    reach = np.zeros((part.size, num_patches), dtype=np.uint8)
    reach[np.arange(part.size), part] = 1
    counts = np.zeros(2, dtype=np.int64)
    _grow(*graphs, ids, first, hops, reach, counts)
    num_copies, num_entries = counts

    patches, nodes = ids.size * num_patches, part.size
    bounds = [
        np.zeros(size + 1, dtype=np.int32) for size in (patches, nodes, num_copies, num_copies)
    ]
    in_copies = [np.empty(num_copies, dtype=np.int32) for _ in range(3)]
    in_entries = [np.empty(num_entries, dtype=np.int32) for _ in range(4)]
    coarse = np.zeros((ids.size, num_patches, num_patches), dtype=np.float32)
    _fill(*graphs, ids, first, reach, *bounds[:3], *in_copies, in_entries[0], in_entries[3], coarse)
    _transpose(bounds[2], in_entries[0], bounds[3], in_entries[1], in_entries[2])
    patch_ptr, copy_ptr, rowptr, rowptr_t = map(torch.from_numpy, bounds)
    node, patch, copy = map(torch.from_numpy, in_copies)
    col, col_t, perm_t, edge = map(torch.from_numpy, in_entries)
    longest = [_longest(*pair) for pair in (bounds[:2], bounds[2:])]
    return Patches(
        CSR(patch_ptr, node, copy_ptr, patch, copy, longest=longest[0]),
        CSR(rowptr, col, rowptr_t, col_t, perm_t, longest=longest[1]),
        edge,
        torch.from_numpy(coarse),
        (patch_ptr.diff() > 0).float().view(ids.size, num_patches),
    )


def _longest(*bounds: np.ndarray) -> int:
    """The most entries between two bounds."""
    return max(int(np.diff(bound).max(initial=0)) for bound in bounds)


@compiled
def _grow(
    node_ptr: Any, rowptr: Any, col: Any, ids: Any, first: Any, hops: int, reach: Any, counts: Any
) -> None:
    """reach[i, p]: is node i in patch p. Counts all copies, and all entries among them."""
    num_patches = reach.shape[1]
    copies = entries = 0
    for b in range(len(ids)):
        begin, end = first[b], first[b + 1]
        shift = node_ptr[ids[b]] - begin
        for _ in range(hops):
            before = reach[begin:end].copy()
            for i in range(begin, end):
                for e in range(rowptr[i + shift], rowptr[i + shift + 1]):
                    j = begin + col[e]
                    for p in range(num_patches):
                        reach[i, p] |= before[j - begin, p]
                        reach[j, p] |= before[i - begin, p]
        for i in range(begin, end):
            for p in range(num_patches):
                copies += reach[i, p]
            for e in range(rowptr[i + shift], rowptr[i + shift + 1]):
                j = begin + col[e]
                for p in range(num_patches):
                    entries += reach[i, p] & reach[j, p]
    counts[0], counts[1] = copies, entries


@compiled
def _fill(
    node_ptr: Any, graph_rowptr: Any, graph_col: Any, ids: Any, first: Any, reach: Any,
    patch_ptr: Any, copy_ptr: Any, rowptr: Any,
    node: Any, patch: Any, copy: Any, col: Any, edge: Any, coarse: Any,
) -> None:  # fmt: skip
    """What Patches holds, but for the transpose of the copies' graph."""
    num_patches = reach.shape[1]
    largest = 0
    for b in range(len(ids)):
        largest = max(largest, first[b + 1] - first[b])
    where = np.empty((num_patches, largest), np.int32)  # the copy of a node in a patch
    inside = np.empty(num_patches, np.int64)  # the patches of one node
    copies = listed = entries = edges = 0
    for b in range(len(ids)):
        begin, end = first[b], first[b + 1]
        shift = node_ptr[ids[b]] - begin
        first_edge = graph_rowptr[begin + shift]
        for p in range(num_patches):
            for i in range(begin, end):
                if reach[i, p]:
                    where[p, i - begin] = copies
                    node[copies] = i
                    copies += 1
            patch_ptr[b * num_patches + p + 1] = copies
            for c in range(patch_ptr[b * num_patches + p], copies):
                i = node[c]
                for e in range(graph_rowptr[i + shift], graph_rowptr[i + shift + 1]):
                    if reach[begin + graph_col[e], p]:
                        col[entries] = where[p, graph_col[e]]
                        edge[entries] = edges + e - first_edge
                        entries += 1
                rowptr[c + 1] = entries
        edges += graph_rowptr[end + shift] - first_edge
        for i in range(begin, end):
            count = 0
            for p in range(num_patches):
                if reach[i, p]:
                    inside[count] = p
                    count += 1
                    patch[listed] = b * num_patches + p
                    copy[listed] = where[p, i - begin]
                    listed += 1
            copy_ptr[i + 1] = listed
            for p in inside[:count]:
                for q in inside[:count]:
                    coarse[b, p, q] += 1


@compiled
def _transpose(rowptr: Any, col: Any, rowptr_t: Any, col_t: Any, perm_t: Any) -> None:
    """Count the entries of each column, then lay them out row after row, which sorts them."""
    for c in col:
        rowptr_t[c + 1] += 1
    for c in range(1, len(rowptr_t)):
        rowptr_t[c] += rowptr_t[c - 1]
    place = rowptr_t[:-1].copy()
    for row in range(len(rowptr) - 1):
        for e in range(rowptr[row], rowptr[row + 1]):
            col_t[place[col[e]]] = row
            perm_t[place[col[e]]] = e
            place[col[e]] += 1
