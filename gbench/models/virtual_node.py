"""A virtual node: what OGB's molecule models add to a GNN, not a change of the graphs.

Gilmer et al. (ICML 2017) join one more node to all others of a graph. In the form that Hu et al.
(NeurIPS 2020) report, and that tables mean by "-virtual", its messages have a network of their own
and no edges or features, so that it belongs to the model: `model.virtual_node=true`.

Legend: N nodes, B graphs, D hidden_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.kernels import segment_add, segment_reduce
from gbench.models.dense import Dense
from gbench.models.norm_act import NormAct, linear_norm_act


class VirtualNode(nn.Module):
    """One more node per graph, joined to all others: v ← dropout(MLP(Σ_{i in graph} x_i + v)).

    MLP = linear, batch norm, ReLU, linear, batch norm, ReLU, with 2 D inner units.

    Shapes: x (N, D), v (B, D) → (B, D).
    """

    def __init__(self, dim: int, *, dropout: float) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            Dense(dim, 2 * dim),
            NormAct(2 * dim, norm=True, relu=True, dropout=0.0),
            Dense(2 * dim, dim),
            NormAct(dim, norm=True, relu=True, dropout=dropout),
        )

    def forward(self, batch: Batch, x: Tensor, v: Tensor) -> Tensor:
        x = segment_reduce(batch.node_ptr, x, "sum") + v
        first, inner, second, outer = self.mlp
        x = linear_norm_act(first, inner, x, batch.valid_graphs)
        return linear_norm_act(second, outer, x, batch.valid_graphs)


def told(batch: Batch, x: Tensor, v: Tensor) -> Tensor:
    """What nodes are told: x_i + v of i's graph, under autocast in the wider of their dtypes.

    So a parameter v is not rounded to bfloat16, nor is the sum that the virtual node takes next.

    Shapes: x (N, D), v (B, D) → (N, D).
    """
    return segment_add(batch.node_ptr, x.to(torch.promote_types(x.dtype, v.dtype)), v)
