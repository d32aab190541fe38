"""Bags made of batches, on their device, by operations on whole tensors.

All copies are laid out whole first: the copies of a graph are the graph again, at another place, so
that their arrays and those of the transpose need no sort. Then entries, and nodes, are cut out.

Legend: B graphs with N nodes and E entries in all, S copies, C nodes and K entries of the copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from gbench.data.bag import FAR, Bag, Bagging
from gbench.data.transfer import on_device
from gbench.kernels import CSR, spmm

if TYPE_CHECKING:
    from gbench.data.batch import Batch


class Plan(NamedTuple):
    """Which copies to make. Shapes: graph (S,) int64, in order; about (S,) int64."""

    graph: Tensor  # that each copies
    about: Tensor  # the node, or of edges the number, that each is about; -1: nothing


def bag_of(batch: Batch, bagging: Bagging) -> Bag:
    """The batch's bag, or the whole one where it came without."""
    return bag_made(batch, bagging) if batch.bag is None else batch.bag


def with_bags(batches: Iterable[Batch], bagging: Bagging, seed: int | None) -> Iterator[Batch]:
    """Each batch with its bag; with a seed of as many copies as `share` says, drawn from it."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    for batch in batches:
        yield replace(batch, bag=bag_made(batch, bagging, generator))


def as_batch(batch: Batch, bag: Bag) -> Batch:
    """The copies as a batch of their own, for layers that read one: each is a graph of it."""

    def of(values: Tensor | None, original: Tensor) -> Tensor | None:
        return None if values is None else values.index_select(0, original)

    return replace(
        batch,
        graph=bag.graph,
        x=batch.x.index_select(0, bag.node),
        node_ptr=bag.members.rowptr,
        edge_code=of(batch.edge_code, bag.edge),
        edge_weight=of(batch.edge_weight, bag.edge),
        edge_attr=of(batch.edge_attr, bag.edge),
        pe=of(batch.pe, bag.node),
        x_numbers=of(batch.x_numbers, bag.node),
        pairs=None,
        pair_ptr=None,
        targets=None,
        memo={},
        is_kept=False,
        bag=None,
    )


def bag_made(batch: Batch, bagging: Bagging, generator: torch.Generator | None = None) -> Bag:
    """The copies of a batch's graphs; with a generator a share of those of each graph."""
    is_of_edges = bagging.policy == "edge-deleted"
    edges = _numbered_edges(batch) if is_of_edges else None
    plan = _of_nodes(batch) if edges is None else _of_edges(batch, edges)
    if generator is not None and bagging.share < 1:
        plan = _drawn(plan, batch.num_graphs, bagging.share, generator)
    bag = _laid(batch, plan)
    if edges is not None:
        about = plan.about.repeat_interleave(_entries_of_copies(bag))
        return _cut(bag, edges.index_select(0, bag.edge) != about)
    root = (plan.about - batch.node_ptr.long()[plan.graph]).int() + bag.members.rowptr[:-1]
    hop = _hops(bag.graph, root, bagging.hops)
    bag = replace(bag, root=root, hop=hop)
    if bagging.policy == "node-deleted":
        return _cut(bag, _ends(bag.graph, hop.ne(0)))
    if bagging.policy == "ego-nets":
        near = hop.le(bagging.hops)
        return _cut(bag, _ends(bag.graph, near), near if bagging.cut else None)
    return bag


def most(ranges: Tensor, policy: str) -> Tensor:
    """How many copies a graph has at most, with how many nodes and entries in all.

    Shapes: ranges (4, G) as of GraphStore → (3, G) int64.
    """
    nodes, entries = ranges[2].long(), ranges[3].long()
    copies = entries.clamp(min=1) if policy == "edge-deleted" else nodes
    return torch.stack([copies, copies * nodes, copies * entries])


def _of_nodes(batch: Batch) -> Plan:
    return Plan(batch.batch, torch.arange(batch.num_nodes, device=batch.x.device))


def _numbered_edges(batch: Batch) -> Tensor:
    """The number of each entry's undirected edge, in the order of graphs. Shapes: (E,) int64."""
    source, target = batch.edge_index
    both = torch.minimum(source, target) * batch.num_nodes + torch.maximum(source, target)
    numbers: Tensor = both.unique(return_inverse=True)[1]
    return numbers


def _of_edges(batch: Batch, edges: Tensor) -> Plan:
    device = edges.device
    number = int(edges.max()) + 1 if edges.numel() else 0
    graph = torch.empty(number, dtype=torch.int64, device=device)
    graph[edges] = batch.batch[batch.edge_index[1]]
    has_edges = torch.zeros(batch.num_graphs, dtype=torch.bool, device=device)
    has_edges[graph] = True
    alone = (~has_edges).nonzero().flatten()
    whole, order = torch.cat([graph, alone]).sort(stable=True)
    about = torch.arange(number + alone.numel(), device=device)
    about[number:] = -1
    return Plan(whole, about[order])


def _drawn(plan: Plan, num_graphs: int, share: float, generator: torch.Generator) -> Plan:
    """⌈share · copies⌉ of those of each graph, uniformly, in order."""
    graph, device = plan.graph, plan.graph.device
    draw = on_device(torch.rand(graph.numel(), generator=generator), device)
    order = draw.argsort()
    order = order[graph[order].argsort(stable=True)]
    sizes = torch.zeros(num_graphs, dtype=torch.int64, device=device)
    sizes.index_put_((graph,), torch.ones_like(graph), accumulate=True)
    rank = torch.arange(graph.numel(), device=device)
    rank -= (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    wanted = (sizes * share).ceil().long().repeat_interleave(sizes)
    kept = order[rank < wanted].sort().values
    return Plan(graph[kept], plan.about[kept])


def _laid(batch: Batch, plan: Plan) -> Bag:
    """The graphs that the plan names, whole, one behind another."""
    graph, of = batch.graph, plan.graph
    device = of.device
    first_node = batch.node_ptr.long()
    first_entry = graph.rowptr.long()[first_node]
    sizes = torch.stack([first_node.diff(), first_entry.diff()])[:, of]
    starts = torch.nn.functional.pad(sizes.cumsum(1), (1, 0))
    num_nodes, num_entries = starts[:, -1].tolist()
    node_start, entry_start = starts[0, :-1], starts[1, :-1]

    def spread(per_copy: Tensor, row: int, total: int) -> Tensor:
        return per_copy.repeat_interleave(sizes[row], output_size=total)

    place = torch.arange(max(num_nodes, num_entries), device=device)
    node = spread(first_node[of] - node_start, 0, num_nodes) + place[:num_nodes]
    entry = spread(first_entry[of] - entry_start, 1, num_entries) + place[:num_entries]
    to_node = spread(node_start - first_node[of], 1, num_entries)
    to_entry = spread(entry_start - first_entry[of], 1, num_entries)
    laid = CSR(
        _pointers(graph.in_degree[node]),
        (graph.col[entry] + to_node).int(),
        _pointers(graph.out_degree[node]),
        (graph.col_t[entry] + to_node).int(),
        (graph.perm_t[entry] + to_entry).int(),
        longest=graph.longest,
        undirected=graph.undirected,
    )
    ptr = torch.searchsorted(of, torch.arange(batch.num_graphs + 1, device=device)).int()
    members = _members(batch, node, starts[0], ptr)
    return Bag(members, laid, entry.int(), ptr)


def _members(batch: Batch, node: Tensor, starts: Tensor, ptr: Tensor) -> CSR:
    """Which nodes each whole copy has. Node u of the n of a graph is at n k + u of its k-th copy.

    Shapes: node (C,) int64, starts (S + 1,) int64, ptr (B + 1,) int32 → S × N.
    """
    of, first_node = batch.batch, batch.node_ptr.long()
    copies = ptr.diff().long()[of]  # of each node
    rowptr_t = torch.nn.functional.pad(copies.cumsum(0), (1, 0))
    total = node.numel()
    own = torch.arange(batch.num_nodes, device=node.device) - first_node[of]
    first_copy, size = ptr.long()[:-1][of], first_node.diff()[of]
    begin = (starts[first_copy] + own).repeat_interleave(copies, output_size=total)
    which = torch.arange(total, device=node.device)
    which -= rowptr_t[:-1].repeat_interleave(copies, output_size=total)
    step = size.repeat_interleave(copies, output_size=total)
    col_t = first_copy.repeat_interleave(copies, output_size=total) + which
    return CSR(starts.int(), node.int(), rowptr_t.int(), col_t.int(), (begin + which * step).int())


def _hops(graph: CSR, root: Tensor, hops: int) -> Tensor:
    """The least number of edges from each node to its copy's root, FAR beyond `hops`: uint8."""
    hop = torch.full((graph.num_rows,), FAR, dtype=torch.uint8, device=root.device)
    hop[root.long()] = 0
    backwards = graph.t
    for number in range(1, hops + 1):
        reached = spmm(backwards, (hop < FAR).float()[:, None])[:, 0] > 0
        hop.masked_fill_(reached & (hop == FAR), number)
    return hop


def _ends(graph: CSR, marked: Tensor) -> Tensor:
    """The entries both of whose ends are marked. Shapes: marked (C,) → (K,) bool."""
    receiver = marked.repeat_interleave(graph.in_degree, output_size=graph.num_entries)
    return receiver & marked[graph.col]


def _cut(bag: Bag, entries: Tensor, nodes: Tensor | None = None) -> Bag:
    """The bag with these entries (K,) alone, all between these nodes (C,), of which root is one."""
    graph = _with_entries(bag.graph, entries)
    bag = replace(bag, graph=graph, edge=bag.edge[entries])
    if nodes is None:
        return bag
    place = (nodes.cumsum(0) - 1).int()  # of those that stay
    begins = torch.cat([nodes, nodes.new_ones(1)])
    graph = replace(
        graph,
        rowptr=graph.rowptr[begins],
        col=place[graph.col],
        rowptr_t=graph.rowptr_t[begins],
        col_t=place[graph.col_t],
    )
    assert bag.root is not None
    assert bag.hop is not None
    members = _with_entries(bag.members, nodes)
    return replace(bag, graph=graph, members=members, root=place[bag.root], hop=bag.hop[nodes])


def _with_entries(graph: CSR, entries: Tensor) -> CSR:
    """The same rows and columns with these entries alone."""
    entries_t = entries[graph.perm_t]
    before, before_t = (_pointers(kept) for kept in (entries, entries_t))
    return CSR(
        before[graph.rowptr],
        graph.col[entries],
        before_t[graph.rowptr_t],
        graph.col_t[entries_t],
        before[graph.perm_t[entries_t]],
        longest=graph.longest,
        undirected=graph.undirected or None,  # edges go both ways together
    )


def _entries_of_copies(bag: Bag) -> Tensor:
    """How many each has. Shapes: (S,) int64."""
    return bag.graph.rowptr[bag.members.rowptr].diff().long()


def _pointers(counts: Tensor) -> Tensor:
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0)).int()
