"""All graphs of a dataset packed in flat tensors, so that a batch is a few index operations.

Every graph is sorted once, when it is packed: its edges by target and then by source, with the
transposed order beside them, in node numbers that start at 0 within the graph. A batch then copies
the ranges of its graphs and adds an offset to each: no sort, no Python loop over graphs, and the
same code on every device. All indices are 32-bit, which halves the bytes that a batch moves.

Legend: G graphs in the store, B graphs in a batch, N nodes, E edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.source import Graph, sorted_out
from gbench.data.spec import DataSpec, Level
from gbench.data.transfer import on_device
from gbench.kernels.csr import CSR

MOST_LOOKED_AT = 1 << 27  # edges, looked at in a second when a store is loaded
GRAPHS_AT_ONCE = 512  # of `batches`: on molhiv no faster with more, and 1 MB of tensors at a time


@dataclass(frozen=True, eq=False)
class GraphStore:
    """G graphs side by side.

    Shapes: ranges (4, G) int32, the first node, the first edge, the number of nodes and the number
    of edges of each graph, always on the CPU; x (N, F) float32 or (N, K) of the smallest integer
    that holds the categories; y (N,) for node tasks, (G,) or (G, T) for graph tasks; in_degree
    (N,), col and perm_t (E,) int32 as in `CSR`, counted within each graph; out_degree (N,) and
    col_t (E,) are None where every edge has its reverse, because the transpose of such a graph is
    the graph; edge_code (E,) the row of edge_combos (U, K) int64 that each entry of `col` carries;
    pairs (P, 2) int64 the pairs of nodes that y (P, 1) tells apart, at link level; pe (N, K)
    float32 the positional encoding, where one is asked for (see gbench/data/encodings/encode.py);
    edge_weight (E,) and edge_attr (E, F) float32, of each entry of `col`, and x_numbers (N, F)
    float32 beside categories of nodes, where the data have them;
    pair_values (Q, K) float32 an encoding of pairs, Q = Σ n² of all graphs as in `Batch.pairs`;
    teacher (N, C) or (G, C) float32, rows as y: see gbench/data/taught.py.
    No node of any graph has more than `longest` in- or out-neighbours: counted if it is None.
    `undirected` is of all graphs what it is in `CSR`: looked for if it is None and there are
    several graphs, of which a batch should not ask again.
    """

    level: Level
    ranges: Tensor
    x: Tensor
    y: Tensor
    in_degree: Tensor
    col: Tensor
    perm_t: Tensor
    out_degree: Tensor | None = None
    col_t: Tensor | None = None
    edge_code: Tensor | None = None
    edge_combos: Tensor | None = None
    pairs: Tensor | None = None
    pe: Tensor | None = None
    edge_weight: Tensor | None = None
    edge_attr: Tensor | None = None
    x_numbers: Tensor | None = None
    pair_values: Tensor | None = None
    teacher: Tensor | None = None
    longest: int | None = None
    undirected: bool | None = None
    memo: dict[str, Batch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.longest is None:
            # Not among the tensors, so that files of packed datasets need no new layout.
            degrees = (self.in_degree, self.out_degree)
            longest = max(int(d.max()) for d in degrees if d is not None) if self.num_nodes else 0
            object.__setattr__(self, "longest", longest)
        if self.undirected is None and self.num_graphs > 1 and self.num_edges <= MOST_LOOKED_AT:
            object.__setattr__(self, "undirected", self._is_undirected())

    def _is_undirected(self) -> bool:
        if self.out_degree is not None:
            return False
        # An edge again stands beside itself in its row; a loop alone is its own reverse.
        begins = torch.zeros(self.num_edges + 1, dtype=torch.bool, device=self.device)
        begins[_pointers(self.in_degree).long()] = True
        again = (self.col[1:] == self.col[:-1]).logical_and_(~begins[1:-1])
        _, first_edge, _, edges = self.ranges.to(self.device)
        place = torch.arange(self.num_edges, dtype=torch.int32, device=self.device)
        place -= first_edge.repeat_interleave(edges, output_size=self.num_edges)
        return not bool(again.any() | (self.perm_t == place).any())

    @property
    def num_graphs(self) -> int:
        return self.ranges.size(1)

    @property
    def num_nodes(self) -> int:
        return self.in_degree.numel()

    @property
    def num_edges(self) -> int:
        return self.col.numel()

    @property
    def num_loops(self) -> int:
        """How many edges begin where they end."""
        first_node, _, nodes, _ = self.ranges.to(self.device)
        node = torch.arange(self.num_nodes, device=self.device)
        node -= first_node.repeat_interleave(nodes, output_size=self.num_nodes)
        row = node.repeat_interleave(self.in_degree, output_size=self.num_edges)
        return int((self.col == row).sum())

    @cached_property
    def first_pair(self) -> Tensor:
        """Where each graph's pairs begin, and how many there are. Shapes: → (G + 1,) int64."""
        return torch.nn.functional.pad(self.ranges[2].long().square().cumsum(0), (1, 0))

    def told(self, spec: DataSpec) -> DataSpec:
        """The spec, with what these tensors say of edges and of numbers beside categories."""
        return replace(
            spec,
            edge_dim=0 if self.edge_attr is None else self.edge_attr.size(1),
            has_edge_weight=self.edge_weight is not None,
            is_directed=self.out_degree is not None,
            num_numbers=0 if self.x_numbers is None else self.x_numbers.size(1),
        )

    @property
    def device(self) -> torch.device:
        return self.x.device

    @property
    def num_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """The packed tensors by name; `GraphStore(level, **tensors)` is the store again."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def to(self, device: torch.device | str) -> GraphStore:
        """The store on a device; `ranges` stay on the CPU, where batch sizes are computed."""
        if torch.device(device) == self.device:
            return self
        moved: dict[str, Any] = {
            name: tensor.to(device) for name, tensor in self.tensors().items() if name != "ranges"
        }
        return replace(self, **moved, memo={})

    def batch(self, ids: Tensor) -> Batch:
        """The graphs `ids` (B,) int64, in that order; a graph may occur more than once."""
        return next(self._cut([ids]))

    def batches(self, chunks: Iterable[Tensor]) -> Iterator[Batch]:
        """One batch per chunk of ids, small ones cut from common tensors.

        To start the thirty operations of a batch costs more than to copy 32 molecules.
        """
        group: list[Tensor] = []
        for chunk in chunks:
            group.append(chunk)
            if sum(map(len, group)) >= GRAPHS_AT_ONCE:
                yield from self._cut(group)
                group = []
        if group:
            yield from self._cut(group)

    def _cut(self, chunks: Sequence[Tensor]) -> Iterator[Batch]:
        """The batches of several chunks, laid side by side and then cut apart.

        Sizes come from the CPU, so that no step waits for an accelerator.
        """
        ids, device = torch.cat([*chunks]).cpu(), self.device
        ranges = self.ranges.index_select(1, ids)
        ptr = torch.zeros(2, ids.numel() + 1, dtype=torch.int32)
        torch.cumsum(ranges[2:], 1, dtype=torch.int32, out=ptr[:, 1:])
        sizes = torch.tensor([0, *map(len, chunks)])
        bounds = sizes.cumsum(0)
        marks = ptr.index_select(1, bounds)
        own = torch.repeat_interleave(marks[:, :-1], sizes[1:], dim=1, output_size=ids.numel())
        before = ptr[:, :-1]
        plan = torch.cat([ranges[2:], ranges[:2] - before, before - own])
        plan, node_ptr, there = on_device((plan, ptr[0], ids), device)
        nodes, edges, node_shift, edge_shift, node_offset, edge_offset = plan
        node_marks, edge_marks = marks.tolist()
        num_nodes, num_edges = node_marks[-1], edge_marks[-1]

        graph_of_node = torch.repeat_interleave(nodes, output_size=num_nodes)
        graph_of_edge = torch.repeat_interleave(edges, output_size=num_edges)
        place = torch.arange(max(num_nodes, num_edges), dtype=torch.int32, device=device)
        # In place where the left side is new: fresh memory costs more than the addition.
        node = node_shift.index_select(0, graph_of_node).add_(place[:num_nodes])
        edge = edge_shift.index_select(0, graph_of_edge).add_(place[:num_edges])
        to_node = node_offset.index_select(0, graph_of_edge)
        to_edge = edge_offset.index_select(0, graph_of_edge)
        rowptr = rowptr_t = _pointers(self.in_degree.index_select(0, node))
        col = col_t = self.col.index_select(0, edge).add_(to_node)
        if self.out_degree is not None and self.col_t is not None:
            rowptr_t = _pointers(self.out_degree.index_select(0, node))
            col_t = self.col_t.index_select(0, edge).add_(to_node)
        perm_t = self.perm_t.index_select(0, edge).add_(to_edge)
        x = self.x.index_select(0, node)
        per_node = self.level == "node"
        y, taught = (
            None if values is None else values.index_select(0, node if per_node else there)
            for values in (self.y, self.teacher)
        )
        assert y is not None
        code, weight, attr = (
            None if values is None else values.index_select(0, edge)
            for values in (self.edge_code, self.edge_weight, self.edge_attr)
        )
        pe, numbers = (
            None if values is None else values.index_select(0, node)
            for values in (self.pe, self.x_numbers)
        )

        for (b, b_end), (n, n_end), (e, e_end) in zip(
            pairwise(bounds.tolist()), pairwise(node_marks), pairwise(edge_marks), strict=True
        ):
            rows = rowptr[n : n_end + 1] - e
            rows_t = rows if rowptr_t is rowptr else rowptr_t[n : n_end + 1] - e
            pairs, pair_ptr = self._pairs(ids[b:b_end])
            yield Batch(
                CSR(
                    rows,
                    col[e:e_end],
                    rows_t,
                    col_t[e:e_end],
                    perm_t[e:e_end],
                    longest=self.longest,
                    undirected=self.undirected,
                ),
                x=x[n:n_end],
                y=y[n:n_end] if per_node else y[b:b_end],
                node_ptr=node_ptr[b : b_end + 1] - n,
                edge_code=None if code is None else code[e:e_end],
                edge_combos=self.edge_combos,
                pe=None if pe is None else pe[n:n_end],
                edge_weight=None if weight is None else weight[e:e_end],
                edge_attr=None if attr is None else attr[e:e_end],
                x_numbers=None if numbers is None else numbers[n:n_end],
                teacher=None
                if taught is None
                else (taught[n:n_end] if per_node else taught[b:b_end]),
                pairs=pairs,
                pair_ptr=pair_ptr,
            )

    def _pairs(self, ids: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The `pairs` and `pair_ptr` of a batch of some graphs; None where there are none.

        They are copied for each batch: common tensors of many batches would be large.
        """
        values = self.pair_values
        if values is None:
            return None, None
        first, sizes = self.first_pair[ids], self.ranges[2, ids].long().square()
        parts = [values.narrow(0, *part) for part in torch.stack([first, sizes], 1).tolist()]
        pair_ptr = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))
        return torch.cat(parts) if parts else values[:0], on_device(pair_ptr, self.device)

    def whole(self) -> Batch:
        """The only graph of a one-graph dataset, made once and never copied.

        Raises ValueError when the store holds several graphs.
        """
        if self.num_graphs != 1:
            raise ValueError(f"the store holds {self.num_graphs} graphs, not one")
        if "whole" not in self.memo:
            rowptr = rowptr_t = _pointers(self.in_degree)
            col = col_t = self.col
            if self.out_degree is not None and self.col_t is not None:
                rowptr_t, col_t = _pointers(self.out_degree), self.col_t
            known: dict[str, Any] = {"longest": self.longest, "undirected": self.undirected}
            self.memo["whole"] = Batch(
                CSR(rowptr, col, rowptr_t, col_t, self.perm_t, **known),
                self.x,
                self.y,
                torch.arange(2, dtype=torch.int32, device=self.device) * self.num_nodes,
                self.edge_code,
                self.edge_combos,
                pe=self.pe,
                edge_weight=self.edge_weight,
                edge_attr=self.edge_attr,
                x_numbers=self.x_numbers,
                pairs=self.pair_values,
                teacher=self.teacher,
                is_kept=True,
            )
            if self.pair_values is not None:
                self.memo["whole"].pair_ptr = self.first_pair.to(self.device)
        return self.memo["whole"]

    def union(self) -> tuple[CSR, Tensor]:
        """All graphs as one disjoint graph, and where each begins: (G + 1,) int32."""
        first_node, first_edge, nodes, edges = self.ranges.to(self.device)
        to_node = first_node.repeat_interleave(edges, output_size=self.num_edges)
        to_edge = first_edge.repeat_interleave(edges, output_size=self.num_edges)
        rowptr = rowptr_t = _pointers(self.in_degree)
        col = col_t = self.col + to_node
        if self.out_degree is not None and self.col_t is not None:
            rowptr_t, col_t = _pointers(self.out_degree), self.col_t + to_node
        known: dict[str, Any] = {"longest": self.longest, "undirected": self.undirected}
        graph = CSR(rowptr, col, rowptr_t, col_t, self.perm_t + to_edge, **known)
        return graph, _pointers(nodes)


def pack(graphs: Sequence[Graph], level: Level = "graph") -> GraphStore:
    """Sort and pack graphs whose contents are sound (see gbench/data/check.py)."""
    graphs = [sorted_out(graph) for graph in graphs]
    counts = torch.tensor([(graph.x.size(0), graph.edge_index.size(1)) for graph in graphs])
    first = counts.cumsum(0) - counts
    x = torch.cat([graph.x for graph in graphs])
    x = x.float() if x.is_floating_point() else narrowed(x)
    y = torch.cat([graph.y for graph in graphs])
    y = y.float() if y.is_floating_point() else y.long()

    # The graphs are disjoint, so one sort of all edges sorts each graph and keeps their order.
    first_node, first_edge = torch.repeat_interleave(first, counts[:, 1], dim=0).unbind(dim=1)
    edge_index = torch.cat([graph.edge_index for graph in graphs], dim=1).long()
    csr, order = CSR.from_edge_index(edge_index + first_node, x.size(0))
    symmetric = torch.equal(csr.rowptr, csr.rowptr_t) and torch.equal(csr.col, csr.col_t)
    edge_code = edge_combos = None
    if graphs[0].edge_attr is not None:
        attributes = torch.cat([graph.edge_attr for graph in graphs if graph.edge_attr is not None])
        edge_combos, edge_code = _combinations(attributes.long())
        edge_code = narrowed(edge_code)[order]
    weight, attr = (
        _joined([getattr(g, name) for g in graphs]) for name in ("edge_weight", "edge_numbers")
    )
    return GraphStore(
        level,
        torch.cat([first, counts], dim=1).t().int().contiguous(),
        x.contiguous(),
        y,
        csr.in_degree,
        (csr.col - first_node).int(),
        (csr.perm_t - first_edge).int(),
        None if symmetric else csr.out_degree,
        None if symmetric else (csr.col_t - first_node).int(),
        edge_code,
        edge_combos,
        graphs[0].pairs,
        edge_weight=None if weight is None else weight[order],
        edge_attr=None if attr is None else attr[order],
        x_numbers=_joined([graph.x_numbers for graph in graphs]),
    )


def _joined(values: Sequence[Tensor | None]) -> Tensor | None:
    """What all graphs have, one after another, in float32; None if they have none."""
    given = [value for value in values if value is not None]
    return torch.cat(given).float().contiguous() if given else None


def narrowed(codes: Tensor) -> Tensor:
    """Non-negative integers in the smallest type that holds them."""
    largest = int(codes.max()) if codes.numel() else 0
    for dtype in (torch.uint8, torch.int16, torch.int32):
        if largest <= torch.iinfo(dtype).max:
            return codes.to(dtype)
    return codes.long()


def _combinations(codes: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct rows of categories and which of them each row is. Shapes: (E, K) → (U, K), (E,).

    Rows become numbers in a mixed radix first: torch.unique over rows takes 7 s for the 2.3 million
    bonds of molhiv, over numbers 0.2 s.
    """
    radix = torch.nn.functional.pad(codes, (0, 0, 0, 1)).amax(dim=0) + 1
    place = radix.flip(0).cumprod(0).flip(0) // radix
    numbers, inverse = torch.unique((codes * place).sum(dim=1), return_inverse=True)
    return numbers.unsqueeze(1) // place % radix, inverse


def _pointers(degree: Tensor) -> Tensor:
    """Row pointers, int32. Shapes: (N,) → (N + 1,)."""
    pointers = torch.zeros(degree.numel() + 1, dtype=torch.int32, device=degree.device)
    torch.cumsum(degree, 0, dtype=torch.int32, out=pointers[1:])
    return pointers
