"""The message passing baselines of He et al. (ICML 2023): GINE, GCN, GatedGCN and TransformerConv.

Legend: N nodes, B graphs, D hidden_dim, C outputs.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.models.convolutions import Head, InputEncoder, ResidualLayer
from gbench.models.dense import Dense
from gbench.models.readout import Readout


class MPGNN(nn.Module):
    """x ← x + dropout(relu(batch_norm(conv(x)))), num_layers times; O x + b; readout; head.

    Shapes: x (N, D) → (B, D) → (B, C); at node level (N, C) without readout.
    """

    contracts: ClassVar = {"layer-wise": "a baseline on graphs that fit in a batch"}

    def __init__(
        self,
        spec: DataSpec,
        *,
        conv: str,
        hidden_dim: int,
        num_layers: int,
        dropout: float,
        readout: str,
    ) -> None:
        super().__init__()
        self.encoder = InputEncoder(spec, conv, hidden_dim)
        self.layers = nn.ModuleList(
            ResidualLayer(conv, hidden_dim, dropout=dropout) for _ in range(num_layers)
        )
        self.output = Dense(hidden_dim, hidden_dim)
        self.readout = Readout(spec, readout)
        self.head = Head(hidden_dim, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        x, edges = self.encoder(batch)
        for layer in self.layers:
            x = layer(batch.graph, x, edges)
        out: Tensor = self.head(self.readout(batch, self.output(x)))
        return out
