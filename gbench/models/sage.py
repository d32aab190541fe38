"""GraphSAGE: Hamilton, Ying and Leskovec, "Inductive Representation Learning", NeurIPS 2017.

Legend: N rows, M columns (M = N but in parts of a big graph), F features.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import spmm
from gbench.models.convolve import neighbour_mean
from gbench.models.gat import with_loops
from gbench.models.linear import Linear
from gbench.models.stack import Stack


class SAGELayer(nn.Module):
    """W_l agg_{j→i} x_j + b + W_r x_i, agg the mean or the maximum, 0 of no neighbours.

    With self_loops a node is one of its own neighbours; with `normalize` (the paper) each row is
    divided by its length. Edge weights weigh the mean. W on [x_i | agg] is the same function.

    Shapes: x (M, in_dim) → (N, out_dim).
    """

    uses: ClassVar = ("edge_weight",)

    def __init__(
        self, in_dim: int, out_dim: int, *, reduce: str, self_loops: bool, normalize: bool
    ) -> None:
        super().__init__()
        self.reduce, self.self_loops, self.normalize = reduce, self_loops, normalize
        self.neighbours = Linear(in_dim, out_dim)
        self.root = Linear(in_dim, out_dim, bias=False)

    def forward(self, batch: Batch, x: Tensor | SparseFeatures) -> Tensor:
        linear, own = self.neighbours, self.root(x)[: batch.num_nodes]
        if isinstance(x, Tensor) and (self.reduce == "max" or x.size(1) < linear.out_features):
            out = linear(self._aggregate(batch, x)) + own
        else:  # fewer columns are walked
            out = self._aggregate(batch, linear.without_bias(x)) + own + linear.bias
        return functional.normalize(out) if self.normalize else out

    def _aggregate(self, batch: Batch, x: Tensor) -> Tensor:
        if self.reduce == "max":
            return spmm(with_loops(batch) if self.self_loops else batch.graph, x, reduce="max")
        return neighbour_mean(batch, x, self_loops=self.self_loops)


class SAGE(Stack):
    """SAGELayers as gbench/models/stack.py arranges them.

    Shapes: x (N, F) → (N, D) → ... → (N, C).
    Raises UserError as Stack does, and for another `reduce` than mean or max.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        reduce: str,
        self_loops: bool,
        normalize: bool,
        hidden_dim: int,
        num_layers: int,
        norm: str,
        residual: bool,
        jk: str,
        linear_head: bool,
        pre_linear: bool,
        input_dropout: float,
        dropout: float,
    ) -> None:
        if reduce not in ("mean", "max"):
            raise UserError(f"model.reduce={reduce}: pass mean or max")
        if reduce == "max" and spec.has_edge_weight:
            raise UserError(
                "model.reduce=max does not read the weights of edges: pass model.reduce=mean"
            )

        def convolution(in_dim: int, out_dim: int) -> nn.Module:
            return SAGELayer(
                in_dim, out_dim, reduce=reduce, self_loops=self_loops, normalize=normalize
            )

        super().__init__(
            spec,
            convolution,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            norm=norm,
            residual=residual,
            jk=jk,
            linear_head=linear_head,
            pre_linear=pre_linear,
            input_dropout=input_dropout,
            dropout=dropout,
            allow_sparse=reduce == "mean",
        )
