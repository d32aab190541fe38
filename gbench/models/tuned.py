"""GCN, GraphSAGE and GAT as Luo, Shi and Wu tune them, "Classic GNNs are Strong Baselines", 2024.

Legend: N nodes, F features, D hidden_dim, C outputs.
"""

from __future__ import annotations

from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.models.gat import GATLayer
from gbench.models.gcn import GCNLayer
from gbench.models.sage import SAGELayer
from gbench.models.stack import Stack


class OneHead(nn.Module):
    """A GATLayer of one head without bias, a node among its own neighbours."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layer = GATLayer(in_dim, out_dim, num_heads=1, averages=False, attention_dropout=0.0)
        self.layer.register_parameter("bias", None)

    def forward(self, batch: Batch, x: Tensor | SparseFeatures) -> Tensor:
        return self.layer.without_bias(batch, x)


class Tuned(Stack):
    """Convolutions of one kind, gcn, sage or gat, and a linear head: see gbench/models/stack.py.

    Every convolution sees each node among its own neighbours, SAGE's mean as well. What the
    authors' code allocates and does not use, a linear layer before the first convolution, norms
    and skips that are switched off, does not exist here.

    Shapes: x (N, F) → (N, D) → ... → (N, C).
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        convolution: str,
        hidden_dim: int,
        num_layers: int,
        norm: str,
        residual: bool,
        jk: str,
        pre_linear: bool,
        dropout: float,
    ) -> None:
        def make(in_dim: int, out_dim: int) -> nn.Module:
            if convolution == "gcn":
                return GCNLayer(in_dim, out_dim, bias=True)
            if convolution == "gat":
                return OneHead(in_dim, out_dim)
            return SAGELayer(in_dim, out_dim, reduce="mean", self_loops=True, normalize=False)

        super().__init__(
            spec,
            make,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            norm=norm,
            residual=residual,
            jk=jk,
            linear_head=True,
            pre_linear=pre_linear,
            input_dropout=0.0,
            dropout=dropout,
        )
