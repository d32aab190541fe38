"""GPS: Rampášek et al., "Recipe for a General, Powerful, Scalable Graph Transformer", NeurIPS 2022.

Legend: N nodes, E entries, B graphs, D hidden_dim, H heads, C outputs.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import ragged_attention
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.edge_convolutions import GINE, EdgeInput, Edges, GatedGCN, check_conv
from gbench.models.encodings_beside import EncodingsBeside
from gbench.models.graph_head import GraphHead, activation
from gbench.models.norm_act import NormAct
from gbench.models.readout import Readout


class Attention(nn.Module):
    """O [attention of each head] + b, over the nodes of the same graph.

    Queries, keys and values are one linear layer, as torch's MultiheadAttention begins them; the
    attention is `ragged_attention`, without padding to the largest graph.

    Shapes: h (N, D) → (N, D). Raises UserError where the heads do not divide D.
    """

    def __init__(self, dim: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        if dim % heads:
            raise UserError(f"model.hidden_dim={dim}: model.num_heads={heads} do not divide it")
        self.heads, self.dropout = heads, dropout
        self.inner, self.outer = Dense(dim, 3 * dim), Dense(dim, dim)
        nn.init.xavier_uniform_(self.inner.weight)
        nn.init.zeros_(self.inner.bias)
        nn.init.zeros_(self.outer.bias)

    def forward(self, batch: Batch, h: Tensor) -> Tensor:
        q, k, v = self.inner(h).unflatten(1, (3, self.heads, -1)).unbind(1)
        rate = self.dropout if self.training else 0.0
        out: Tensor = self.outer(ragged_attention(batch.node_ptr, q, k, v, rate).flatten(1))
        return out


class GPSLayer(nn.Module):
    """The sum of a convolution and of attention on the same h, then a feed-forward part.

        l = BN(h + drop(conv(h, e)))  or, of GatedGCN, which has both inside,  BN(conv(h, e))
        g = BN(h + drop(attention(h)))
        h ← BN(l + g + drop(W_2 drop(act(W_1 (l + g)))))

    Shapes: h (N, D), e Edges → (N, D), Edges.
    """

    def __init__(
        self,
        conv: str,
        dim: int,
        heads: int,
        *,
        act: str,
        dropout: float,
        attention_dropout: float,
        last: bool = False,
    ) -> None:
        super().__init__()
        self.gated: GatedGCN | None = None
        self.conv: GINE | None = None
        if conv == "gated-gcn":
            self.gated = GatedGCN(dim, act, residual=True, dropout=dropout, last=last)
        else:
            self.conv = GINE(dim, act)
        self.attention = Attention(dim, heads, dropout=attention_dropout)
        self.local_norm, self.global_norm, self.norm = (_norm(dim) for _ in range(3))
        self.first, self.second = Dense(dim, 2 * dim), Dense(2 * dim, dim)
        self.act, self.rate = activation(act), dropout

    def forward(self, batch: Batch, h: Tensor, edges: Edges) -> tuple[Tensor, Edges]:
        if self.gated is not None:
            local, edges = self.gated(batch, h, edges)
        else:
            assert self.conv is not None
            local = h + self._dropped(self.conv(batch, h, edges))
        attended = h + self._dropped(self.attention(batch, h))
        h = self.local_norm(local) + self.global_norm(attended)
        inner = self._dropped(self.act(self.first(h)))
        return self.norm(h + self._dropped(self.second(inner))), edges

    def _dropped(self, x: Tensor) -> Tensor:
        out: Tensor = dropout(x, self.rate, self.training)
        return out


def _norm(dim: int) -> NormAct:
    return NormAct(dim, norm=True, relu=False, dropout=0.0)


class GPS(nn.Module):
    """Encoders, GPS layers, a readout and a head.

    Encodings stand beside the features: rwse through a batch norm and a linear layer, and the
    eigenpairs of the Laplacian through an MLP of each, summed (encoding=eigenpairs).

    Shapes: x (N, F) → (N, D) → (B, D) → (B, C).
    Raises UserError for another convolution, where the heads do not divide D, and where the
    encodings leave no columns of it.
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        conv: str,
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        pe_dim: int,
        act: str,
        readout: str,
        head: str,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        check_conv(conv, ("gine", "gated-gcn"))
        self.nodes = EncodingsBeside(spec, hidden_dim, pe_dim)
        self.edges = EdgeInput(spec, hidden_dim, dense=conv == "gated-gcn")
        self.layers = nn.ModuleList(
            GPSLayer(
                conv,
                hidden_dim,
                num_heads,
                act=act,
                dropout=dropout,
                attention_dropout=attention_dropout,
                last=layer + 1 == num_layers,
            )
            for layer in range(num_layers)
        )
        self.readout = Readout(spec, readout)
        self.head = GraphHead(head, hidden_dim, spec.num_outputs, act)

    def forward(self, batch: Batch) -> Tensor:
        h: Tensor = self.nodes(batch)
        edges = self.edges(batch)
        for layer in self.layers:
            h, edges = layer(batch, h, edges)
        out: Tensor = self.head(self.readout(batch, h))
        return out
