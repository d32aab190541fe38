"""Link prediction with any node-level model, as OGB's examples do it (Hu et al., NeurIPS 2020).

Legend: N nodes, P pairs, D hidden_dim.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.models.answers import checked
from gbench.models.dense import Dense
from gbench.models.encoders import Embeddings

PAIRS_AT_ONCE = 65_536  # one D = 256 activation of so many pairs is 64 MiB


class LinkPredictor(nn.Module):
    """logit(u, v) = MLP(h_u ⊙ h_v), h the embeddings that a node-level model computes.

    Each layer of the MLP but the last is followed by ReLU and dropout. The product makes the answer
    independent of the order of a pair.

    Shapes: encoder's h (N, D), batch.pairs (P, 2) → (P, 1).
    """

    def __init__(
        self, encoder: nn.Module, *, hidden_dim: int, num_layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.hidden_dim = hidden_dim
        widths = [hidden_dim] * num_layers + [1]
        self.predictor = nn.ModuleList(Dense(a, b) for a, b in itertools.pairwise(widths))
        self.dropout = dropout

    def forward(self, batch: Batch) -> Tensor:
        assert batch.pairs is not None
        shape = (batch.num_nodes, self.hidden_dim)
        what = "a row per node and predictor.hidden_dim columns"
        embeddings = checked(self.encoder(batch), shape, self.encoder, what)
        chunks = batch.pairs.split(PAIRS_AT_ONCE)
        return torch.cat([self._logits(embeddings, pairs) for pairs in chunks])

    def parts(self) -> list[list[nn.Parameter]]:
        """The embeddings of categories, the rest of the encoder, the predictor; none is empty.

        Gradients are clipped part by part, as in OGB's examples.
        """
        tables = {
            id(parameter)
            for module in self.encoder.modules()
            if isinstance(module, (Embeddings, nn.Embedding))
            for parameter in module.parameters()
        }
        encoder = [*self.encoder.parameters()]
        parts = [
            [parameter for parameter in encoder if id(parameter) in tables],
            [parameter for parameter in encoder if id(parameter) not in tables],
            [*self.predictor.parameters()],
        ]
        return [part for part in parts if part]

    def _logits(self, embeddings: Tensor, pairs: Tensor) -> Tensor:
        # F.embedding, because its backward adds in a fixed order where indexing's does not
        x = F.embedding(pairs[:, 0], embeddings) * F.embedding(pairs[:, 1], embeddings)
        for layer in self.predictor[:-1]:
            x = F.dropout(layer(x).relu(), self.dropout, self.training)
        out: Tensor = self.predictor[-1](x)
        return out
