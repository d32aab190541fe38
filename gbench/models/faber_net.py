"""FaberNet: Koke & Cremers, "HoloNets: Spectral Convolutions do extend to Directed Graphs", 2024.

Legend: N nodes, F features, D hidden_dim, L layers, K powers, C outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import CSR, directed_propagate
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import input_features
from gbench.models.jumping import JUMPS, check_jump, jumped
from gbench.models.linear import Linear, times
from gbench.models.reverse import reverse

POWER = -0.25  # of both degrees
Features = Tensor | SparseFeatures
# of the term of A'^(i + 1)
WEIGHTS: dict[str, Callable[[int], float]] = {
    "exp": lambda index: 2.0**-index,
    "lin": lambda index: 1.0 / max(index, 1),
}


class Powers(nn.Module):
    """Σ_{i=0..K-1} w_i (A'^{i+1} x W_i + b_i), w_i = 2^-i or 1 / max(i, 1); with zero + x W + b.

    A' = D_out^-1/4 A D_in^-1/4 of the graph that is given. W_i may be complex, as may x = [x | y]:
    then two real linear layers stand for W_i + i V_i, and the sum is [real | imaginary].

    All maps are one product, and come before the powers, which by Horner's rule are K propagations,
    A' (x W_0 + A' (x W_1 w_1 + ...)): wide features are never propagated.

    Shapes: x (N, F), y (N, F) or None → (N, D), or (N, 2 D).
    """

    def __init__(
        self, in_dim: int, out_dim: int, *, powers: int, weights: str, zero: bool, complex_: bool
    ) -> None:
        super().__init__()
        self.weights = [*(WEIGHTS[weights](index) for index in range(powers)), *[1.0] * zero]
        self.powers = powers

        def linears() -> nn.ModuleList:
            return nn.ModuleList(Linear(in_dim, out_dim) for _ in self.weights)

        self.real = linears()
        self.imag = linears() if complex_ else None

    def forward(self, graph: CSR, x: Features, y: Tensor | None) -> Tensor:
        terms = self._mapped(x, y)
        total = directed_propagate(graph, terms[self.powers - 1], POWER, POWER)
        for term in reversed(terms[: self.powers - 1]):
            total = directed_propagate(graph, term + total, POWER, POWER)
        return sum(terms[self.powers :], total) + self.bias()

    def _mapped(self, x: Features, y: Tensor | None) -> list[Tensor]:
        """w_i x W_i of each i, without the biases."""
        real, imag = self._scaled(self.real, "weight"), None
        if self.imag is None:
            parts = [times(x, torch.cat(real))]
        else:
            imag = self._scaled(self.imag, "weight")
            parts = product(x, y, torch.cat(real), torch.cat(imag))
        split = zip(*(part.chunk(len(self.weights), 1) for part in parts), strict=True)
        return [torch.cat(part, 1) for part in split]

    def bias(self) -> Tensor:
        """What all biases come to: Σ w_i b_i, or [Σ w_i (b_i - b'_i) | Σ w_i (b_i + b'_i)]."""
        real = torch.stack(self._scaled(self.real, "bias")).sum(0)
        if self.imag is None:
            return real
        imag = torch.stack(self._scaled(self.imag, "bias")).sum(0)
        return torch.cat([real - imag, real + imag])

    def _scaled(self, linears: nn.ModuleList, name: str) -> list[Tensor]:
        found = [getattr(linear, name) for linear in linears]
        return [
            value if w == 1 else w * value for w, value in zip(self.weights, found, strict=True)
        ]

    def averaged(self, x: Features, y: Tensor | None) -> list[Tensor]:
        """The real and imaginary part of x Σ_i w_i (W_i + i V_i), without the biases."""
        assert self.imag is not None
        real, imag = (
            torch.stack(self._scaled(linears, "weight")).sum(0)
            for linears in (self.real, self.imag)
        )
        return product(x, y, real, imag)


def product(x: Features, y: Tensor | None, real: Tensor, imag: Tensor) -> list[Tensor]:
    """The two parts of (x + i y)(W + i V): x W - y V and x V + y W; y of None is 0."""
    parts = [times(x, real), times(x, imag)]
    if y is not None:
        parts = [parts[0] - times(y, imag), parts[1] + times(y, real)]
    return parts


class FaberLayer(nn.Module):
    """α P(A', x) + (1 - α) P'(A'ᵀ, x) of two sums of powers, A_ij = 1 for an edge i → j.

    quirk=true is what the authors' code computes of the complex form: every power is the first, so
    that K linear layers are one, their weighted sum; A'ᵀ has the same maps as A'; and the imaginary
    part is that of A' whatever α is. P' is there and unused.

    Shapes: x (N, F), y (N, F) or None → (N, D), or [real | imaginary] (N, 2 D).
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        alpha: float,
        powers: int,
        power_weights: str,
        zero_order: bool,
        complex_weights: bool,
        quirk: bool,
    ) -> None:
        super().__init__()
        self.alpha, self.quirk = alpha, quirk
        self.successors, self.predecessors = (
            Powers(
                in_dim,
                out_dim,
                powers=powers,
                weights=power_weights,
                zero=zero_order,
                complex_=complex_weights,
            )
            for _ in range(2)
        )

    def forward(self, batch: Batch, x: Features, y: Tensor | None) -> Tensor:
        if self.quirk:
            return self._as_published(batch, x, y)
        sides = [
            weight * powers(at.graph, x, y)
            for weight, powers, at in (
                (self.alpha, self.successors, reverse(batch)),
                (1 - self.alpha, self.predecessors, batch),
            )
            if weight  # with 0 its gradients are zeros
        ]
        total: Tensor = sum(sides[1:], sides[0])
        return total

    def _as_published(self, batch: Batch, x: Features, y: Tensor | None) -> Tensor:
        real, imag = self.successors.averaged(x, y)
        sides = [
            weight * directed_propagate(graph, real, POWER, POWER)
            for weight, graph in (
                (self.alpha, reverse(batch).graph),
                (1 - self.alpha, batch.graph),
            )
            if weight
        ]
        imag = directed_propagate(reverse(batch).graph, imag, POWER, POWER)
        return torch.cat([sum(sides[1:], sides[0]), imag], 1) + self.successors.bias()


class FaberNet(nn.Module):
    """L layers of Faber polynomials in the directed adjacency matrix, and a linear layer on them.

    h_l = normalise(drop(|conv_l(h_{l-1})|)), the real and the imaginary part of h each by itself;
    normalise makes rows as long as 1, where that is asked for. Logits are linear(max, [h_1 | ... |
    h_L] or h_L), by jk, of [real | imaginary]. α weighs the successors; with 0 or 1 one direction
    is not computed, but under quirk=true (see FaberLayer). Edge weights are not read.

    Shapes: x (N, F) → h_l (N, D), or (N, 2 D) where it is complex → (N, C).
    Raises UserError for a jk that is none of these, and for quirk=true without complex weights or
    with zero_order, of which there are no published figures.
    """

    directed: ClassVar = True
    contracts: ClassVar = {"layer-wise": "a part of a graph has the edges into its nodes alone"}
    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        alpha: float,
        powers: int,
        power_weights: str,
        zero_order: bool,
        complex_weights: bool,
        quirk: bool,
        jk: str,
        normalize: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        check_jump(jk)
        if quirk and (zero_order or not complex_weights):
            raise UserError(
                "model.quirk=true is what the authors' code makes of the complex form: it goes "
                "with model.complex_weights=true and model.zero_order=false"
            )
        self.jk, self.normalize, self.dropout = jk, normalize, dropout
        self.parts = 2 if complex_weights else 1
        self.encoder, in_dim = input_features(spec, hidden_dim)
        self.layers = nn.ModuleList(
            FaberLayer(
                *pair,
                alpha=alpha,
                powers=powers,
                power_weights=power_weights,
                zero_order=zero_order,
                complex_weights=complex_weights,
                quirk=quirk,
            )
            for pair in itertools.pairwise([in_dim, *[hidden_dim] * num_layers])
        )
        width = JUMPS[jk](self.parts * hidden_dim, num_layers)
        self.head = Dense(width, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        x: Features = self.encoder(batch)
        y: Tensor | None = None
        kept: list[Tensor] = []
        for layer in self.layers:
            h = dropout(layer(batch, x, y).abs(), self.dropout, self.training)
            if self.normalize:
                h = F.normalize(h.unflatten(1, (self.parts, -1)), dim=2).flatten(1)
            kept.append(h)
            x, y = h.chunk(2, 1) if self.parts == 2 else (h, None)
        out: Tensor = self.head(jumped(kept, self.jk))
        return out
