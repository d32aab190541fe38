"""Which nodes two nodes share as neighbours, for pairs of nodes; and a graph without some edges.

Nothing of size P × N is made: of each pair the shorter list of neighbours is looked up, entry by
entry, in the sorted edges of the other node.

Legend: N nodes, E entries, P pairs, S common neighbours of all pairs together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.kernels.csr import CSR

LOOKED_UP_AT_ONCE = 1 << 24  # entries: 0.4 GiB of indices


def without(graph: CSR, pairs: Tensor) -> CSR:
    """The graph without the entries that join the pairs, in both directions.

    Shapes: graph N × N, pairs (P, 2).
    """
    size = graph.num_cols
    left, right = pairs.unbind(1)
    removed = torch.cat([left * size + right, right * size + left])
    kept = ~torch.isin(graph.row * size + graph.col, removed)
    kept_t = kept[graph.perm_t.long()]
    place = kept.cumsum(0).sub_(1)
    sender = torch.repeat_interleave(graph.out_degree, output_size=graph.num_entries).long()
    rows, rows_t = graph.row[kept], sender[kept_t]
    return CSR(
        _pointers(rows, graph.num_rows),
        graph.col[kept],
        _pointers(rows_t, size),
        graph.col_t[kept_t],
        place[graph.perm_t.long()[kept_t]].int(),
        longest=graph.longest,
        undirected=graph.undirected,
    )


def common_neighbours(graph: CSR, pairs: Tensor) -> CSR:
    """N(i) ∩ N(j) of each pair (i, j), as the rows of a pattern. Shapes: N × N, (P, 2) → P × N.

    Neighbours are in-neighbours. The order of a pair does not matter.
    """
    degree = graph.in_degree[pairs]
    is_shorter = degree[:, 0] <= degree[:, 1]
    few = torch.where(is_shorter, pairs[:, 0], pairs[:, 1])
    many = torch.where(is_shorter, pairs[:, 1], pairs[:, 0])
    return _neighbours(graph, few, many, are_of_both=True)


def neighbours_of_one(graph: CSR, pairs: Tensor) -> CSR:
    """N(i) - N(j) of each pair (i, j), without j. Shapes: N × N, (P, 2) → P × N."""
    return _neighbours(graph, pairs[:, 0], pairs[:, 1], are_of_both=False)


def _neighbours(graph: CSR, of: Tensor, other: Tensor, *, are_of_both: bool) -> CSR:
    """The neighbours of the nodes `of`, (P,), that are neighbours of `other`, or are none."""
    size, number, device = graph.num_cols, len(of), graph.device
    keys = graph.row * size + graph.col  # ascending, as rows and their entries are
    length = graph.in_degree.long()[of]
    rows, cols = [of.new_zeros(0)], [of.new_zeros(0)]
    for chunk in _chunks(length):
        sizes = length[chunk]
        pair = torch.arange(number, device=device)[chunk].repeat_interleave(sizes)
        entry = torch.arange(len(pair), device=device)
        begins = graph.rowptr.long()[of[chunk]] - (sizes.cumsum(0) - sizes)
        node = graph.col[entry + begins.repeat_interleave(sizes)].long()
        wanted = other[pair] * size + node
        place = torch.searchsorted(keys, wanted).clamp_(max=max(0, len(keys) - 1))
        found = keys[place] == wanted
        if not are_of_both:
            found = ~found & (node != other[pair])
        rows.append(pair[found])
        cols.append(node[found])
    row, col = torch.cat(rows), torch.cat(cols)
    perm_t = col.argsort(stable=True)
    return CSR(
        _pointers(row, number), col.int(), _pointers(col, size), row[perm_t].int(), perm_t.int()
    )


def _chunks(length: Tensor) -> list[slice]:
    """Consecutive pairs with so many entries to look up, or one pair with more."""
    ends = length.cumsum(0)
    if not len(ends):
        return []
    marks = torch.arange(0, int(ends[-1]) + 1, LOOKED_UP_AT_ONCE, device=ends.device)
    starts = torch.searchsorted(ends, marks, right=True)
    starts[0] = 0
    begin = [at for at in starts.unique().tolist() if at < len(length)]
    return [slice(a, b) for a, b in zip(begin, [*begin[1:], len(length)], strict=True)]


def _pointers(rows: Tensor, number: int) -> Tensor:
    """Row pointers of entries in ascending rows. Shapes: (E,) → (N + 1,) int32."""
    counts = torch.bincount(rows, minlength=number)
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0)).int()
