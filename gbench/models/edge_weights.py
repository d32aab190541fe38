"""Weights of edges: what models ask of them, and weights as one more number of each edge.

Legend: E edges, F numbers of an edge.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.data.spec import DataSpec
from gbench.errors import UserError


def check_weights(model: nn.Module, name: str, dataset: Dataset) -> None:
    """Raise UserError for a negative weight where the model takes roots of their sums.

    A model says that it does by the class attribute `roots_of_weights`.
    """
    weight, store = dataset.store.edge_weight, dataset.store
    takes_roots = any(getattr(part, "roots_of_weights", False) for part in model.modules())
    if weight is None or not takes_roots or not bool((weight < 0).any()):
        return
    edge = int((weight < 0).nonzero()[0])
    _, first_edges, _, num_edges = store.ranges.tolist()
    index = next(
        i
        for i, (first, count) in enumerate(zip(first_edges, num_edges, strict=True))
        if first <= edge < first + count
    )
    first_node = int(store.ranges[0, index])
    ends = torch.repeat_interleave(store.in_degree.cpu(), output_size=store.num_edges)
    where = f"edge {int(store.col[edge])} -> {int(ends[edge]) - first_node}"
    if store.num_graphs > 1:
        where += f" of graph {index}"
    raise UserError(
        f"dataset '{dataset.card.name}': the weight of {where} is {float(weight[edge]):g}, and "
        f"model {name} takes square roots of sums of weights: make all weights 0 or more, or take "
        "a model that reads them as numbers of edges, as model=gat"
    )


def weights_as_numbers(spec: DataSpec) -> DataSpec:
    """The spec for a batch of `with_weights_as_numbers`."""
    return replace(spec, edge_dim=spec.edge_dim + spec.has_edge_weight, has_edge_weight=False)


def with_weights_as_numbers(batch: Batch) -> Batch:
    """The batch with each edge's weight as the last of its numbers: edge_attr (E, F + 1)."""
    if batch.edge_weight is None:
        return batch
    column = batch.edge_weight[:, None]
    attr = column if batch.edge_attr is None else torch.cat([batch.edge_attr, column], 1)
    return replace(batch, edge_attr=attr, edge_weight=None)
