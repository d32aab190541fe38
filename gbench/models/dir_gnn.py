"""Dir-GNN: Rossi et al., "Edge Directionality Improves Learning on Heterophilic Graphs", LoG 2023.

Legend: N nodes, F features, D hidden_dim, L layers, C outputs.
"""

from __future__ import annotations

import itertools
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.kernels import directed_propagate
from gbench.kernels.act_dropout import act_dropout
from gbench.models.dense import Dense
from gbench.models.encoders import input_features
from gbench.models.gat import GATLayer
from gbench.models.jumping import JUMPS, check_jump, jumped
from gbench.models.linear import Linear
from gbench.models.reverse import reverse


class Parts(NamedTuple):
    """A layer's output before what is added to every row: sums (N, D) and the bias (D,)."""

    sums: Tensor
    bias: Tensor


class DirGCN(nn.Module):
    """α (A' x W + b) + (1 - α) (A'ᵀ x V + c), A' = D_out^-1/2 A D_in^-1/2.

    A_ij = 1 for an edge i → j: a row of A' sums over a node's successors, one of A'ᵀ over its
    predecessors. No loop is added.

    Shapes: x (N, in_dim) → (N, out_dim).
    """

    powers: ClassVar = (-0.5, -0.5)

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.successors = Linear(in_dim, out_dim)
        self.predecessors = Linear(in_dim, out_dim)

    def forward(self, batch: Batch, x: Tensor | SparseFeatures, alpha: Tensor | float) -> Parts:
        terms = []
        for weight, linear, at in (
            (alpha, self.successors, reverse(batch)),
            (1 - alpha, self.predecessors, batch),
        ):
            if isinstance(weight, Tensor) or weight:  # with 0 its gradients are zeros
                sums = directed_propagate(at.graph, linear.without_bias(x), *self.powers)
                bias = linear.bias
                terms.append((sums, bias) if _is_one(weight) else (weight * sums, weight * bias))
        sums, bias = (sum(parts[1:], parts[0]) for parts in zip(*terms, strict=True))
        return self.completed(x, sums, bias)

    def completed(self, x: Tensor | SparseFeatures, sums: Tensor, bias: Tensor) -> Parts:
        """With what a node adds of itself: nothing."""
        return Parts(sums, bias)


class DirSAGE(DirGCN):
    """U x + u + α (mean of successors W + b) + (1 - α) (mean of predecessors V + c).

    Shapes: x (N, in_dim) → (N, out_dim).
    """

    powers: ClassVar = (-1.0, 0.0)

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.own = Linear(in_dim, out_dim)

    def completed(self, x: Tensor | SparseFeatures, sums: Tensor, bias: Tensor) -> Parts:
        """With the node's own features."""
        return Parts(sums + self.own(x), bias)


class DirGAT(nn.Module):
    """α GAT over successors + (1 - α) GAT over predecessors, one head each, loops added to both.

    Shapes: x (N, in_dim) → (N, out_dim).
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.successors, self.predecessors = (
            GATLayer(in_dim, out_dim, num_heads=1, averages=False, attention_dropout=0.0)
            for _ in range(2)
        )

    def forward(self, batch: Batch, x: Tensor | SparseFeatures, alpha: Tensor | float) -> Parts:
        terms = []
        for weight, layer, at in (
            (alpha, self.successors, reverse(batch)),
            (1 - alpha, self.predecessors, batch),
        ):
            if isinstance(weight, Tensor) or weight:
                terms.append((weight * layer.without_bias(at, x), weight * layer.bias))
        sums, bias = (sum(parts[1:], parts[0]) for parts in zip(*terms, strict=True))
        return Parts(sums, bias)


LAYERS: dict[str, type[DirGCN] | type[DirGAT]] = {"gcn": DirGCN, "sage": DirSAGE, "gat": DirGAT}


class DirGNN(nn.Module):
    """Layers that see successors and predecessors apart, and a linear layer on all their outputs.

    h_l = normalise(drop(relu(conv_l(h_{l-1})))), each row to length 1 where that is asked for. With
    jk=max or cat the logits are linear(max or [h_1 | ... | h_L]); with jk=none the last convolution
    ends in the classes. α weighs the successors; it is one number for all layers, learned on
    request, and counted among the parameters in any case, as by the authors. With α of 0 or 1 one
    direction is not computed: its parameters get no gradient.

    The graph is taken as the data state it, loops and one-way edges included. On data where every
    edge has its reverse the two directions see the same nodes. Edge weights are not read.

    Shapes: x (N, F) → h_l (N, D) → (N, C).
    Raises UserError for a jk that is none of these.
    """

    directed: ClassVar = True
    contracts: ClassVar = {"layer-wise": "a part of a graph has the edges into its nodes alone"}
    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        base: str,
        hidden_dim: int,
        num_layers: int,
        alpha: float,
        learn_alpha: bool,
        jk: str,
        normalize: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        check_jump(jk)
        self.jk, self.normalize, self.dropout = jk, normalize, dropout
        self.alpha = nn.Parameter(torch.tensor([float(alpha)]), requires_grad=learn_alpha)
        self.fixed = None if learn_alpha else float(alpha)
        self.encoder, in_dim = input_features(spec, hidden_dim)
        widths = [in_dim, *[hidden_dim] * num_layers]
        if jk == "none":
            widths[-1] = spec.num_outputs
        self.layers = nn.ModuleList(LAYERS[base](*pair) for pair in itertools.pairwise(widths))
        self.head: nn.Module = nn.Identity()
        if jk != "none":
            self.head = Dense(JUMPS[jk](hidden_dim, num_layers), spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        alpha = self.alpha if self.fixed is None else self.fixed
        x = self.encoder(batch)
        kept: list[Tensor] = []
        rate = self.dropout if self.training else 0.0
        for index, layer in enumerate(self.layers):
            sums, bias = layer(batch, x, alpha)
            if self.jk == "none" and index + 1 == len(self.layers):
                logits: Tensor = sums + bias
                return logits
            x = act_dropout(sums, bias, act="relu", rate=rate)
            x = F.normalize(x, dim=1) if self.normalize else x
            kept.append(x)
        out: Tensor = self.head(jumped(kept, self.jk))
        return out


def _is_one(weight: Tensor | float) -> bool:
    return not isinstance(weight, Tensor) and weight == 1
