"""What some nodes' answers depend on: for each layer the rows that are read, and what they read.

A layer's graph has the rows that the next layer reads and the columns that these need, as the parts
of a big graph have; its first columns are its rows. Of Cora's 2,708 nodes the second of two layers
has 140 rows in training, which read 640 that the first one has.

Hops with no layer between them share one graph, whose nodes stand in the order of their distance
from the targets.

Legend: N nodes, T targets, M nodes that are read, L layers, K hops.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.kernels import CSR


@dataclass
class Field:
    """The receptive field of some targets.

    Shapes: nodes (M,) those that the first layer reads, places (T,) of the targets among the last
    layer's rows, or None where these are the targets in their order.
    """

    nodes: Tensor
    batches: list[Batch]
    places: Tensor | None
    sparse: tuple[SparseFeatures, SparseFeatures] | None = None

    def rows(self, x: Tensor | SparseFeatures) -> Tensor | SparseFeatures:
        """The rows of x that the first layer reads. Shapes: x (N, F) → (M, F)."""
        if isinstance(x, Tensor):
            return x.index_select(0, self.nodes)
        if self.sparse is None or self.sparse[0] is not x:
            with torch.inference_mode(False):
                pattern, entry = _rows(x.pattern, self.nodes)
                found = replace(x, pattern=pattern, values=x.values[entry])
            self.sparse = x, found
        return self.sparse[1]

    def answers(self, out: Tensor) -> Tensor:
        """A row for each target. Shapes: out (rows of the last layer, C) → (T, C)."""
        return out if self.places is None else out.index_select(0, self.places)


@dataclass
class Shells(Field):
    """The receptive field of hops: one batch, of the whole graph in another order.

    Its first reach[d] nodes, K + 1 counts, are those within d edges of the targets.
    """

    reach: tuple[int, ...] = ()


FieldLike = TypeVar("FieldLike", bound=Field)


def field_of(batch: Batch, targets: Tensor, num_layers: int) -> Field:
    """The field of `num_layers` layers, kept as long as the batch's graph and the targets live.

    Shapes: targets (T,).
    """
    made = partial(_field, batch, targets, num_layers)
    return _kept(batch, targets, f"field/{num_layers}", made)


def shells_of(batch: Batch, targets: Tensor, hops: int) -> Shells:
    """The field of `hops` hops, kept as long. Shapes: targets (T,)."""
    return _kept(batch, targets, f"shells/{hops}", partial(_shells, batch, targets, hops))


def _kept(batch: Batch, targets: Tensor, key: str, make: Callable[[], FieldLike]) -> FieldLike:
    kept = batch.memo.get(key)
    if kept is None or kept[0] is not batch.graph:
        kept = batch.memo[key] = batch.graph, WeakTensorKeyDictionary()
    found: FieldLike | None = kept[1].get(targets)
    if found is None:
        # what validation leaves here is trained on: autograd refuses inference-mode tensors
        with torch.inference_mode(False):
            found = kept[1][targets] = make()
    return found


def _shells(batch: Batch, targets: Tensor, hops: int) -> Shells:
    newest, places = targets.unique(return_inverse=True)
    is_in_order = torch.equal(newest, targets)
    place_of = torch.full((batch.num_nodes,), -1, device=targets.device)
    reach: list[int] = []
    for hop in range(hops + 1):
        if hop:
            part, _ = _rows(batch.graph, newest)
            source = part.col.long()
            newest = source[place_of[source] < 0].unique()
        start = reach[-1] if reach else 0
        reach.append(start + newest.numel())
        place_of[newest] = torch.arange(start, reach[-1], device=newest.device)
    beyond = (place_of < 0).nonzero().view(-1)
    place_of[beyond] = torch.arange(reach[-1], batch.num_nodes, device=newest.device)
    seen = _alone(batch)
    seen.graph, _ = CSR.from_edge_index(place_of[batch.graph.edge_index], batch.num_nodes)
    nodes = place_of.argsort()[: reach[-1]]
    return Shells(nodes, [seen], None if is_in_order else places, reach=tuple(reach))


def _alone(batch: Batch) -> Batch:
    """The batch with nothing that keeps its targets alive."""
    seen = copy(batch)
    seen.targets, seen.asked, seen.memo = None, None, {}
    return seen


def _field(batch: Batch, targets: Tensor, num_layers: int) -> Field:
    nodes, places = targets.unique(return_inverse=True)
    place_of = torch.full((batch.num_nodes,), -1, device=targets.device)
    place_of[nodes] = torch.arange(nodes.numel(), device=targets.device)
    is_in_order = torch.equal(nodes, targets)
    batches: list[Batch] = []
    for _ in range(num_layers):
        part, _ = _rows(batch.graph, nodes)
        source = part.col.long()
        new = source[place_of[source] < 0].unique()
        place_of[new] = torch.arange(nodes.numel(), nodes.numel() + new.numel(), device=new.device)
        ends = torch.stack([place_of[source], part.row])
        num_rows, nodes = nodes.numel(), torch.cat([nodes, new])
        seen = _alone(batch)
        seen.graph, _ = CSR.from_edge_index(ends, num_rows, nodes.numel())
        batches.insert(0, seen)
    return Field(nodes, batches, None if is_in_order else places)


def _rows(graph: CSR, nodes: Tensor) -> tuple[CSR, Tensor]:
    """Some rows of a graph, and which of its entries they have: T × M, (entries,)."""
    row, entry = graph.entries_of(nodes)
    ends = torch.stack([graph.col[entry].long(), row])
    part, order = CSR.from_edge_index(ends, nodes.numel(), graph.num_cols)
    return part, entry[order]
