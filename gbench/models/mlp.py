"""An MLP: the baseline that shows what the features say without the graph.

Legend: N nodes, B graphs, F features, D hidden_dim, C outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.models.dropout import dropout
from gbench.models.encoders import input_features
from gbench.models.linear import Linear
from gbench.models.norm_act import NormAct
from gbench.models.readout import Readout


class MLP(nn.Module):
    """num_layers linear layers, each but the last followed by (batch norm,) ReLU and dropout.

    Z = W_L drop(relu(... W_1 drop(X) + b_1 ...)) + b_L. On graph-level data the readout stands
    before the last layer. Categorical node features are embedded first, edges and their features
    are never looked at.

    Shapes: x (N, F) → (N, D) → ... → (N, C), or (N, D) → (B, D) → (B, C) at graph level.
    """

    answers_targets: ClassVar = True  # see gbench/data/batch.py
    waits: ClassVar = ""  # see gbench/train/capturing.py
    fills_frames: ClassVar = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        norm: str,
        input_dropout: float,
        dropout: float,
        readout: str,
    ) -> None:
        super().__init__()
        self.input_dropout = input_dropout
        self.encoder, in_dim = input_features(spec, hidden_dim)
        widths = [in_dim, *[hidden_dim] * (num_layers - 1)]
        self.layers = nn.ModuleList(Linear(a, b) for a, b in itertools.pairwise(widths))
        self.norm_acts = nn.ModuleList(
            NormAct(hidden_dim, norm=norm, relu=True, dropout=dropout) for _ in self.layers
        )
        self.readout = Readout(spec, readout)
        self.head = Linear(widths[-1], spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        x = dropout(self.encoder(batch), self.input_dropout, self.training)
        for layer, norm_act in zip(self.layers, self.norm_acts, strict=True):
            x = norm_act(layer(x), rows=batch.valid_nodes)
        out: Tensor = self.head(self.readout(batch, x))
        return out

    def embed(self, batch: Batch) -> Tensor:
        """All of it: no neighbour is looked at (see gbench/train/layerwise.py)."""
        out: Tensor = self(batch)
        return out

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """None."""
        return []
