"""GIN: Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019, and OGB's GINE.

Legend: N nodes, B graphs, F features, D hidden_dim, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import gine_aggregate, gine_dense
from gbench.kernels.normed_mlp import fits, normed_mlp
from gbench.models.again import Again, not_kept
from gbench.models.convolve import neighbour_sum
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.edge_encoder import EdgeEncoder
from gbench.models.edge_weights import weights_as_numbers, with_weights_as_numbers
from gbench.models.encoders import Embeddings, NodeEncoder, bond_tables, input_features
from gbench.models.norm_act import NormAct, linear_norm_act, stages_of
from gbench.models.pairs_as_features import pairs_as_features, with_pairs_as_features
from gbench.models.readout import Readout
from gbench.models.virtual_node import VirtualNode, told


class GINLayer(nn.Module):
    """MLP((1 + ε) x_i + Σ_{j→i} w_ji x_j), or Σ relu(x_j + e_ji) (GINE) where edges have features.

    MLP = linear, batch norm, ReLU, linear. e_ji is this layer's own sum of bond embeddings, and of
    edges with numbers W a_ji + b besides. A weight w_ji is 1 without edge weights; in GINE it is
    one more number of its edge.

    Shapes: x (N, in_dim) → (N, mlp_ratio · out_dim) → (N, out_dim).
    """

    eps: Tensor

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        mlp_ratio: int,
        learn_eps: bool,
        spec: DataSpec,
    ) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            Dense(in_dim, mlp_ratio * out_dim),
            NormAct(mlp_ratio * out_dim, norm=True, relu=True, dropout=0.0),
            Dense(mlp_ratio * out_dim, out_dim),
        )
        if learn_eps:
            self.eps = nn.Parameter(torch.zeros(()))
        else:
            self.register_buffer("eps", torch.zeros(()), persistent=False)
        self.bonds = self.edges = None
        if spec.edge_dim:
            self.edges = EdgeEncoder(spec, in_dim)
        elif spec.edge_categories is not None:
            self.bonds = Embeddings(spec.edge_categories, in_dim)

    def forward(self, batch: Batch, x: Tensor, table: Tensor | None = None) -> Tensor:
        out: Tensor = self.mlp[2](self.hidden(batch, x, table))
        return out

    def normed(
        self,
        batch: Batch,
        x: Tensor,
        norm_act: nn.Module,
        table: Tensor | None = None,
        again: Again | None = None,
    ) -> tuple[Tensor, Again | None]:
        """The layer and `norm_act` after it, (N, out_dim); and how to compute that again.

        In much memory autograd keeps neither that nor the sums over neighbours: `again` is of x
        what is returned of the output. `table`: see `hidden`. Large batches take the parts' weights
        and do not call them, unless a part has hooks.
        """
        with not_kept(x, again):
            total = self.total(batch, x, table)
        first, inner, second = self.mlp
        stages = stages_of((first, inner), (second, norm_act))
        if stages and batch.valid_nodes is None and fits(total, stages):
            held = x if again is None else None

            def summed() -> Tensor:
                of = again() if again is not None else held
                assert of is not None
                return self.total(batch, of, table)

            with not_kept(total, Again(summed) if self.edges is None else None):
                made = normed_mlp(total, stages)
            return made.out, Again(made.again)
        x = linear_norm_act(first, inner, total, batch.valid_nodes)
        return linear_norm_act(second, norm_act, x, batch.valid_nodes), None

    def hidden(self, batch: Batch, x: Tensor, table: Tensor | None = None) -> Tensor:
        """What the MLP's last linear takes: (N, mlp_ratio · out_dim). `table`: see `total`."""
        first, norm_act, _ = self.mlp
        return linear_norm_act(first, norm_act, self.total(batch, x, table), batch.valid_nodes)

    def total(self, batch: Batch, x: Tensor, table: Tensor | None = None) -> Tensor:
        """What the MLP takes: each node and its messages, (N, in_dim).

        `table`: what the bonds make of the batch's edge_combos, if that is known already.
        """
        if self.edges is not None:
            edge = self.edges(batch)
            assert edge is not None
            return gine_dense(batch.graph, x, edge.to(x.dtype), self.eps.to(x.dtype))
        if self.bonds is None:
            own: Tensor = (1 + self.eps) * x[: batch.num_nodes]
            return own + neighbour_sum(batch, x)
        assert batch.edge_code is not None and batch.edge_combos is not None
        table = self.bonds(batch.edge_combos) if table is None else table
        return gine_aggregate(batch.graph, x, table, batch.edge_code, self.eps)


class GIN(nn.Module):
    """GIN layers, each with batch norm and ReLU after it, arranged as by OGB or as in the paper.

    jk=last (OGB): features are encoded to D first; dropout after every layer; no ReLU after the
    last; logits = linear(readout(h_L)). With virtual_node, h ← h + v before each layer, where v
    starts at zero, is learned, and is updated after every layer but the last.

    jk=layerwise (the paper): dense features enter as they are (h_0); ReLU after every layer;
    logits = Σ_l dropout(linear_l(readout(h_l))), l = 0..L, and no other dropout.

    Edges with categories, numbers, or both make the layers GINE's. Values of pairs of nodes, as of
    encoding=rrwp, are read on edges and of each node with itself: see pairs_as_features.py.

    Shapes: x (N, F) → h_l (N, D) → (B, D) → (B, C); at node level (N, C) without readout.
    Raises UserError for a virtual node at node level (its batch norm needs several graphs) or with
    jk=layerwise, and for another jk.
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py
    fills_frames: ClassVar = True
    uses: ClassVar = ("edge_weight", "edge_attr", "pairs")

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        mlp_ratio: int,
        learn_eps: bool,
        virtual_node: bool,
        jk: str,
        readout: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.is_layerwise = jk == "layerwise"
        if jk not in ("last", "layerwise"):
            raise UserError(f"model.jk={jk}: gin has last and layerwise")
        if virtual_node and (self.is_layerwise or spec.level == "node"):
            raise UserError(
                "model.virtual_node=true needs graph-level data and model.jk=last: "
                f"this is {spec.level}-level data with model.jk={jk}"
            )

        self.reads_pairs = spec.pair_dim > 0  # of link-level data batch.pairs is something else
        if self.reads_pairs:
            spec = pairs_as_features(spec)
        self.counts_weights = bool(spec.edge_dim) or spec.edge_categories is not None
        if self.counts_weights:
            spec = weights_as_numbers(spec)
        self.encoder: nn.Module = NodeEncoder(spec, hidden_dim)
        in_dim = hidden_dim
        if self.is_layerwise:
            self.encoder, in_dim = input_features(spec, hidden_dim, allow_sparse=False)
        widths = [in_dim, *[hidden_dim] * num_layers]
        self.layers = nn.ModuleList(
            GINLayer(
                width,
                hidden_dim,
                mlp_ratio=mlp_ratio,
                learn_eps=learn_eps,
                spec=spec,
            )
            for width in widths[:-1]
        )
        self.norm_acts = nn.ModuleList(
            NormAct(
                hidden_dim,
                norm=True,
                relu=self.is_layerwise or layer < num_layers - 1,
                dropout=0.0 if self.is_layerwise else dropout,
            )
            for layer in range(num_layers)
        )
        self.readout = Readout(spec, readout)
        self.heads = nn.ModuleList(
            Dense(width, spec.num_outputs)
            for width in (widths if self.is_layerwise else widths[-1:])
        )
        self.virtual_start = nn.Parameter(torch.zeros(hidden_dim)) if virtual_node else None
        self.virtual_nodes = nn.ModuleList(
            VirtualNode(hidden_dim, dropout=dropout) for _ in range(num_layers - 1) if virtual_node
        )

    def forward(self, batch: Batch) -> Tensor:
        if self.reads_pairs:
            batch = with_pairs_as_features(batch)
        if self.counts_weights:
            batch = with_weights_as_numbers(batch)
        if self.is_layerwise:
            return self._layerwise(batch)
        x: Tensor = self.encoder(batch)
        v = None if self.virtual_start is None else self.virtual_start.expand(batch.num_graphs, -1)
        tables = bond_tables(self.layers, batch)
        steps = zip(self.layers, self.norm_acts, tables, strict=True)
        again: Again | None = None
        for index, (layer, norm_act, table) in enumerate(steps):
            if v is not None:
                x, again = told(batch, x, v), None
                if index < len(self.virtual_nodes):
                    v = self.virtual_nodes[index](batch, x, v)
            assert isinstance(layer, GINLayer)
            x, again = layer.normed(batch, x, norm_act, table, again)
        out: Tensor = self.heads[0](self.readout(batch, x))
        return out

    def _layerwise(self, batch: Batch) -> Tensor:
        x: Tensor = self.encoder(batch)
        logits = [self.heads[0](self.readout(batch, x))]
        tables = bond_tables(self.layers, batch)
        steps = zip(self.layers, self.norm_acts, tables, self.heads[1:], strict=True)
        again: Again | None = None
        for layer, norm_act, table, head in steps:
            assert isinstance(layer, GINLayer)
            x, again = layer.normed(batch, x, norm_act, table, again)
            logits.append(head(self.readout(batch, x)))
        return torch.stack([dropout(z, self.dropout, self.training) for z in logits]).sum(0)

    def embed(self, batch: Batch) -> Tensor:
        """The features as they enter the first layer (see gbench/train/layerwise.py)."""
        x: Tensor = self.encoder(batch)
        return x

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The layers of a node-level model, each with what follows it."""
        return [partial(self._step, index) for index in range(len(self.layers))]

    def _step(self, index: int, batch: Batch, x: Tensor) -> Tensor:
        """One layer. With jk=layerwise a node's logits so far stand beside its features."""
        is_last = index + 1 == len(self.layers)
        if not self.is_layerwise:
            x = self.norm_acts[index](self.layers[index](batch, x), rows=batch.valid_nodes)
            out: Tensor = self.heads[0](x) if is_last else x
            return out
        own, width = x[: batch.num_nodes], self.heads[index].in_features
        logits = own[:, width:] if index else self._logits(0, own)
        x = self.norm_acts[index](self.layers[index](batch, x[:, :width]))
        logits = logits + self._logits(index + 1, x)
        return logits if is_last else torch.cat([x, logits], 1)

    def _logits(self, index: int, x: Tensor) -> Tensor:
        logits: Tensor = dropout(self.heads[index](x), self.dropout, self.training)
        return logits
