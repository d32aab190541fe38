"""Sums over in-neighbours, on a whole graph or on a part of one.

In a part of a big graph (`Batch.degree` is there) the k in-neighbours that a node has in the part
stand for all d that it has in the whole graph: their sum is multiplied by d / k. For neighbours
drawn uniformly that is the whole graph's sum in expectation, and where none is missing it is that
sum. The degrees of a normalisation are those of the whole graph.

Legend: N rows, M columns of a layer's graph (see gbench/data/batch.py), F features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.data.batch import Batch
from gbench.kernels import gcn_propagate, spmm
from gbench.kernels.act_dropout import act_dropout


def neighbour_sum(batch: Batch, x: Tensor) -> Tensor:
    """Σ_{j→i} x_j. Shapes: x (M, F) → (N, F)."""
    total = spmm(batch.graph, x)
    if batch.degree is None:
        return total
    present = batch.graph.in_degree.clamp(min=1)
    return total * (batch.degree[: batch.num_nodes] / present).to(x.dtype)[:, None]


def gcn_average(
    batch: Batch,
    x: Tensor,
    bias: Tensor | None = None,
    *,
    relu: bool = False,
    rate: float = 0.0,
) -> Tensor:
    """dropout(relu(D^-1/2 (A + I) D^-1/2 x + b)), D_i = in-degree of i + 1; ReLU and rate if asked.

    Shapes: x (M, F), b (F,) → (N, F).
    """
    act = "relu" if relu else "none"
    if batch.degree is None:
        if x.is_cuda:
            return gcn_propagate(batch.graph, x, bias=bias, relu=relu, rate=rate)
        return act_dropout(gcn_propagate(batch.graph, x, bias=bias), act=act, rate=rate)
    root = (batch.degree + 1).to(torch.promote_types(x.dtype, torch.float32)).rsqrt()
    root, rows = root.to(x.dtype)[:, None], slice(batch.num_nodes)
    scaled = root * x
    out = root[rows] * (neighbour_sum(batch, scaled) + scaled[rows])
    return act_dropout(out if bias is None else out + bias, act=act, rate=rate)
