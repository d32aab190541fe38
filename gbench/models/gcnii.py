"""GCNII: Chen, Wei, Huang, Ding and Li, "Simple and Deep Graph Convolutional Networks", ICML 2020.

Legend: N nodes, F features, D hidden_dim, C outputs, L layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels.act_dropout import act_dropout
from gbench.models.convolve import gcn_average, returning_average
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import input_features
from gbench.models.linear import Linear


class GCNII(nn.Module):
    """H_l = relu((θ_l W_l + (1 - θ_l) I) applied to (1 - α) S drop(H_{l-1}) + α H_0), l = 1..L.

    H_0 = relu(W_in drop(X) + b), θ_l = ln(λ / l + 1), S = D^-1/2 (A + I) D^-1/2 with D_i =
    in-degree of i + 1, or with edge weights 1 + their sum; the answer is W_out drop(H_L) + b. H_0
    itself is never dropped. With `variant` (GCNII*) W_l reads S drop(H_{l-1}) and H_0 side by side,
    and has D more rows. A positional encoding stands beside the features, categories are embedded.

    Shapes: x (N, F) → (N, D) → ... → (N, C).
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py
    uses: ClassVar = ("edge_weight",)
    roots_of_weights: ClassVar = True  # see gbench/models/edge_weights.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        alpha: float,
        lam: float,
        variant: bool,
        input_dropout: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.input_dropout, self.dropout = input_dropout, dropout
        self.alpha, self.variant = alpha, variant
        self.encoder, in_dim = input_features(spec, hidden_dim)
        self.first = Linear(in_dim, hidden_dim)
        # all W_l in one: an optimizer takes one step for 64 layers
        rows = 2 * hidden_dim if variant else hidden_dim
        self.weights = nn.Parameter(torch.empty(num_layers, rows, hidden_dim))
        nn.init.uniform_(self.weights, -(hidden_dim**-0.5), hidden_dim**-0.5)
        self.last = Dense(hidden_dim, spec.num_outputs)
        theta = [math.log1p(lam / layer) for layer in range(1, num_layers + 1)]
        same = torch.eye(hidden_dim, dtype=torch.float64)
        if variant:
            same = torch.cat([(1 - alpha) * same, alpha * same])
        per_layer = torch.tensor(theta, dtype=torch.float64)[:, None, None]
        self.register_buffer("theta", per_layer, persistent=False)
        self.register_buffer("same", same, persistent=False)

    theta: Tensor
    same: Tensor

    def forward(self, batch: Batch) -> Tensor:
        x, home = self._start(batch)
        for matrix in self._matrices():
            x = self._layer(batch, x, home, matrix)
        out: Tensor = self.last(x)
        return out

    def _start(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """drop(H_0), and what each layer reads of H_0: α H_0, with `variant` itself.

        Shapes: batch.x (N, F) → twice (N, D).
        """
        x = dropout(self.encoder(batch), self.input_dropout, self.training)
        first = act_dropout(self.first(x))
        home = first if self.variant else self.alpha * first
        return dropout(first, self.dropout, self.training), home

    def _matrices(self) -> tuple[Tensor, ...]:
        """θ_l W_l + (1 - θ_l) I of each layer, so that the identity costs no pass over the nodes.

        With `variant` the identity is (1 - α) I above α I. Shapes: L times (D, D) or (2 D, D).
        """
        theta, same = self.theta.to(self.weights), self.same.to(self.weights)
        return (theta * self.weights + (1 - theta) * same).unbind()

    def _layer(self, batch: Batch, x: Tensor, home: Tensor, matrix: Tensor) -> Tensor:
        """drop(H_l). Shapes: x = drop(H_{l-1}) (M, D), home (N, D) → (N, D)."""
        if self.variant:
            above, below = matrix.chunk(2)
            made = gcn_average(batch, x) @ above + home @ below
        else:
            made = returning_average(batch, x, home, self.alpha) @ matrix
        return act_dropout(made, rate=self.dropout if self.training else 0.0)

    def embed(self, batch: Batch) -> Tensor:
        """[drop(H_0) | α H_0], with `variant` H_0 itself: see gbench/train/layerwise.py."""
        return torch.cat(self._start(batch), 1)

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The layers. Beside drop(H_l) stands what H_0 adds."""
        matrices = self._matrices()
        steps = [partial(self._step, matrix, False) for matrix in matrices[:-1]]
        return [*steps, partial(self._step, matrices[-1], True)]

    def _step(self, matrix: Tensor, is_last: bool, batch: Batch, x: Tensor) -> Tensor:
        x, home = x.chunk(2, 1)
        home = home[: batch.num_nodes]
        made = self._layer(batch, x, home, matrix)
        out: Tensor = self.last(made) if is_last else torch.cat([made, home], 1)
        return out
