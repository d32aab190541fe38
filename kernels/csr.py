"""The graph layout that all kernels share: compressed sparse rows with their transpose beside them.

A row is a node that receives; the entries of row i name the nodes that it receives from (its
in-neighbours). Forward passes walk the rows, backward passes walk the transpose, and neither sorts
nor allocates anything: both orders are made once, when the graph is.

Legend: N rows, M columns (M = N but for bipartite uses such as sparse features), E entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

INT32_MAX = 2**31 - 1
UNKNOWN = INT32_MAX  # what operations take for the longest row where nobody counted

Graph = Sequence[Tensor]  # the five arrays of a CSR in their order, as operations take them


@dataclass(frozen=True, eq=False)
class CSR:
    """A sparse N × M pattern and its transpose, both sorted, with 32-bit indices.

    Shapes: rowptr (N + 1,), col (E,), rowptr_t (M + 1,), col_t (E,), perm_t (E,), all int32.
    Entries rowptr[i]:rowptr[i + 1] of `col` are the in-neighbours of i. Entries
    rowptr_t[j]:rowptr_t[j + 1] of `col_t` are the nodes that j sends to, and `perm_t` says where
    each of these entries stands in `col`: values w (E,) become w[perm_t] in the transpose.
    No row and no column has more than `longest` entries; None: nobody counted. `undirected` says
    whether every edge runs both ways, once, and none joins a node to itself; None: nobody looked.
    """

    rowptr: Tensor
    col: Tensor
    rowptr_t: Tensor
    col_t: Tensor
    perm_t: Tensor
    longest: int | None = field(default=None, kw_only=True)
    undirected: bool | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("rowptr", "col", "rowptr_t", "col_t", "perm_t"):
            if (dtype := getattr(self, name).dtype) != torch.int32:
                raise TypeError(f"{name} is {dtype}: the kernels read 32-bit indices")

    @property
    def arrays(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What an operation is given of the graph."""
        return self.rowptr, self.col, self.rowptr_t, self.col_t, self.perm_t

    @property
    def bound(self) -> int:
        """`longest` as operations take it, right after the arrays."""
        return UNKNOWN if self.longest is None else self.longest

    @property
    def num_rows(self) -> int:
        return self.rowptr.numel() - 1

    @property
    def num_cols(self) -> int:
        return self.rowptr_t.numel() - 1

    @property
    def num_entries(self) -> int:
        return self.col.numel()

    @property
    def device(self) -> torch.device:
        return self.col.device

    @property
    def in_degree(self) -> Tensor:
        """Entries per row, int32 (N,)."""
        return self.rowptr.diff()

    @property
    def out_degree(self) -> Tensor:
        """Entries per column, int32 (M,)."""
        return self.rowptr_t.diff()

    @property
    def row(self) -> Tensor:
        """The row of each entry, int64 (E,)."""
        return torch.repeat_interleave(self.in_degree, output_size=self.num_entries).long()

    def entries_of(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """The entries of some rows, in the order of `nodes`: whose each is, and where it stands.

        Shapes: nodes (T,) integers → row (K,) in 0..T - 1 and entry (K,) in 0..E - 1, int64.
        """
        count, start = self.in_degree.index_select(0, nodes), self.rowptr.index_select(0, nodes)
        row = torch.arange(nodes.numel(), device=nodes.device).repeat_interleave(count)
        before = count.cumsum(0) - count
        return row, torch.arange(row.numel(), device=row.device) + (start - before).long()[row]

    @property
    def edge_index(self) -> Tensor:
        """(2, E) int64 in PyG's convention: sources above, targets below, sorted by target."""
        row = torch.repeat_interleave(self.in_degree, output_size=self.num_entries)
        return torch.stack([self.col, row]).long()

    @property
    def t(self) -> CSR:
        """The transpose, sharing this graph's memory (`perm_t` is inverted)."""
        inverse = torch.empty_like(self.perm_t)
        inverse[self.perm_t.long()] = torch.arange(
            self.num_entries, dtype=torch.int32, device=self.device
        )
        arrays = (self.rowptr_t, self.col_t, self.rowptr, self.col, inverse)
        return CSR(*arrays, longest=self.longest, undirected=self.undirected)

    def to(self, device: torch.device | str) -> CSR:
        return CSR(
            self.rowptr.to(device),
            self.col.to(device),
            self.rowptr_t.to(device),
            self.col_t.to(device),
            self.perm_t.to(device),
            longest=self.longest,
            undirected=self.undirected,
        )

    @staticmethod
    def from_edge_index(
        edge_index: Tensor, num_rows: int, num_cols: int | None = None
    ) -> tuple[CSR, Tensor]:
        """Sort (2, E) edges (sources above, targets below) by target, then by source.

        Returns the graph and the permutation (E,) int64 that sorts edge values into its order.
        Raises ValueError when an index is out of range or the sizes do not fit 32 bits, TypeError
        when edge_index is no integer matrix of two rows.
        """
        if edge_index.is_floating_point() or edge_index.dim() != 2 or edge_index.size(0) != 2:
            raise TypeError(
                f"edge_index is {edge_index.dtype} of shape {tuple(edge_index.shape)}: "
                "pass integers of shape (2, E)"
            )
        num_cols = num_rows if num_cols is None else num_cols
        num_entries = edge_index.size(1)
        if max(num_rows, num_cols, num_entries) >= INT32_MAX:
            raise ValueError(
                f"a graph of {num_rows} rows, {num_cols} columns and {num_entries} entries "
                f"does not fit 32-bit indices (at most {INT32_MAX - 1} of each)"
            )
        source, target = edge_index[0].long(), edge_index[1].long()
        if num_entries:
            low = int(torch.minimum(source.min(), target.min()))
            if low < 0 or int(target.max()) >= num_rows or int(source.max()) >= num_cols:
                raise ValueError(
                    f"edge_index has entries outside 0..{num_rows - 1} (targets) "
                    f"or 0..{num_cols - 1} (sources)"
                )
        order = torch.argsort(target * num_cols + source, stable=True)
        source, target = source[order], target[order]
        perm_t = torch.argsort(source, stable=True)
        rows = torch.bincount(target, minlength=num_rows)
        cols = torch.bincount(source, minlength=num_cols)
        longest = int(torch.maximum(rows.max(), cols.max())) if num_entries else 0
        graph = CSR(
            _pointers(rows),
            source.int(),
            _pointers(cols),
            target[perm_t].int(),
            perm_t.int(),
            longest=longest,
        )
        return graph, order


def _pointers(counts: Tensor) -> Tensor:
    """Row pointers (N + 1,) of rows that have `counts` (N,) entries."""
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0)).int()
