"""Sums over in-neighbours, on a whole graph or on a part of one.

In a part of a big graph (`Batch.degree` is there) the k in-neighbours that a node has in the part
stand for all d that it has in the whole graph: their sum is multiplied by d / k. For neighbours
drawn uniformly that is the whole graph's sum in expectation, and where none is missing it is that
sum. The degrees of a normalisation are those of the whole graph.

Where edges have weights, sums are weighted by them. Parts of a big graph have none: gbench refuses
to cut a graph with weights (gbench/build.py).

Legend: N rows, M columns of a layer's graph (see gbench/data/batch.py), F features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from gbench.data.batch import Batch
from gbench.kernels import gcn_propagate, spmm, teleport_propagate
from gbench.kernels.act_dropout import act_dropout
from gbench.kernels.gcn_values import Values, gcn_rows, gcn_values, hops_of


def neighbour_sum(batch: Batch, x: Tensor) -> Tensor:
    """Σ_{j→i} w_ji x_j, w = 1 without edge weights. Shapes: x (M, F) → (N, F)."""
    weight = batch.edge_weight
    total = spmm(batch.graph, x, None if weight is None else weight.to(x.dtype))
    if batch.degree is None:
        return total
    present = batch.graph.in_degree.clamp(min=1)
    return total * (batch.degree[: batch.num_nodes] / present).to(x.dtype)[:, None]


def neighbour_mean(batch: Batch, x: Tensor, *, self_loops: bool = False) -> Tensor:
    """Σ_{j→i} w_ji x_j / Σ_{j→i} w_ji, 0 of no neighbours; with self_loops x_i is one of weight 1.

    Shapes: x (M, F) → (N, F).
    """
    graph, rows = batch.graph, slice(batch.num_nodes)
    if batch.degree is None and batch.edge_weight is None and not self_loops:
        return spmm(graph, x, reduce="mean")
    if batch.edge_weight is not None:
        weight = batch.edge_weight.to(x.dtype)
        size = spmm(graph, weight.new_ones(graph.num_cols, 1), weight)
    else:
        degree = graph.in_degree if batch.degree is None else batch.degree[rows]
        size = degree[:, None].to(x.dtype)
    total = neighbour_sum(batch, x)
    if self_loops:
        total, size = total + x[rows], size + 1
    return torch.where(size == 0, 0, total / torch.where(size == 0, 1, size))


def gcn_average(
    batch: Batch,
    x: Tensor,
    bias: Tensor | None = None,
    *,
    relu: bool = False,
    rate: float = 0.0,
    of: Tensor | None = None,
) -> Tensor:
    """dropout(relu(D^-1/2 (A + I) D^-1/2 x + b)), D_i = in-degree of i + 1; ReLU and rate if asked.

    With edge weights A holds them, and D_i = 1 + Σ_{j→i} w_ji: PyG's gcn_norm, but that a loop
    which the data state comes beside the one that is added, as it does without weights.

    `of` names the nodes that are averaged, where that is not for all.

    Shapes: x (M, F), b (F,), of (T,) → (N, F) or (T, F).
    """
    if of is not None:
        return act_dropout(
            _average_of(batch, x, of), bias, act="relu" if relu else "none", rate=rate
        )
    act = "relu" if relu else "none"
    if batch.edge_weight is not None:
        x = hops_of(batch.graph, x, _values(batch, batch.edge_weight), 1)
        return act_dropout(x, bias, act=act, rate=rate)
    if batch.degree is None:
        return gcn_propagate(batch.graph, x, bias=bias, relu=relu, rate=rate)
    root = (batch.degree + 1).to(torch.promote_types(x.dtype, torch.float32)).rsqrt()
    root, rows = root.to(x.dtype)[:, None], slice(batch.num_nodes)
    scaled = root * x
    out = root[rows] * (neighbour_sum(batch, scaled) + scaled[rows])
    return act_dropout(out if bias is None else out + bias, act=act, rate=rate)


def _average_of(batch: Batch, x: Tensor, nodes: Tensor) -> Tensor:
    """The averages of some nodes, kept as rows of their own with a batch that comes again.

    Shapes: x (N, F), nodes (T,) → (T, F).
    """
    if batch.degree is not None or batch.edge_weight is not None:
        return gcn_average(batch, x).index_select(0, nodes)
    kept = batch.memo.get("averages_of")
    if kept is None or kept[0] is not batch.graph:
        kept = batch.memo["averages_of"] = batch.graph, WeakTensorKeyDictionary()
    found = kept[1].get(nodes)
    if found is None:
        with torch.inference_mode(False):  # what validation leaves here is trained on
            found = kept[1][nodes] = gcn_rows(batch.graph, nodes)
    graph, value = found
    return spmm(graph, x, value.to(x.dtype))


def _values(batch: Batch, weight: Tensor) -> Values:
    """The normalised adjacency by its entries, kept with a batch that comes again."""
    if not batch.is_kept or weight.requires_grad:
        return gcn_values(batch.graph, weight)
    kept = batch.memo.get("gcn_values")
    if kept is None or kept[0] is not weight or kept[1] is not batch.graph:
        # what validation leaves here is trained on: autograd refuses inference-mode tensors
        with torch.inference_mode(False):
            kept = batch.memo["gcn_values"] = weight, batch.graph, gcn_values(batch.graph, weight)
    values: Values = kept[2]
    return values


def returning_average(batch: Batch, x: Tensor, home: Tensor, alpha: float) -> Tensor:
    """(1 - α) D^-1/2 (A + I) D^-1/2 x + h. Shapes: x (M, F), home (N, F) → (N, F)."""
    if batch.degree is None and batch.edge_weight is None:
        return teleport_propagate(batch.graph, x, alpha, home=home)
    return (1 - alpha) * gcn_average(batch, x) + home
