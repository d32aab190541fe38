"""Graph ViT (He et al., ICML 2023): attention among the patches of a graph.

Legend: B graphs with P patches each, D hidden_dim, H heads of F = D / H.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gbench.data.patches.patch_set import Patches
from gbench.kernels import residual_mlp
from gbench.models.convolutions import check_heads
from gbench.models.dense import Dense
from gbench.models.dropout import dropout

HEADS = 8
KERNEL_STEPS = 8


class PatchAttention(nn.Module):
    """Multi-head attention; `mixing` says how the coarse matrix A of shared nodes enters.

    With s = Q Kᵀ / √F, -∞ for empty patches as keys:
    standard   softmax(s) V
    hadamard   (A ⊙ softmax(s)) V, A as it is
    graph      (A ⊙ exp(s)) V, each row divided by its sum
    kernel     the same with (D^-1 A)^8 in A's place
    additive   softmax(s + w_h A + b_h) V

    Shapes: x (B, P, D), relation (B, P, P), mask (B, P) → (B, P, D).
    """

    def __init__(self, mixing: str, dim: int, *, dropout: float) -> None:
        super().__init__()
        self.mixing, self.dropout = mixing, dropout
        self.query = Dense(dim, dim)
        self.key = Dense(dim, dim)
        self.value = Dense(dim, dim)
        self.output = Dense(dim, dim)
        for linear in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(linear.weight, gain=1 / math.sqrt(2))
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.bias = Dense(1, HEADS) if mixing == "additive" else None

    def forward(self, x: Tensor, relation: Tensor, mask: Tensor) -> Tensor:
        by_head = (HEADS, x.size(2) // HEADS)
        query, key, value = (
            linear(x).unflatten(2, by_head).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )  # (B, H, P, F)
        score = query @ key.mT / math.sqrt(by_head[1])
        if self.bias is not None:
            score = score + self.bias(relation[..., None]).permute(0, 3, 1, 2)
        score = score.masked_fill(~mask[:, None, None], -torch.inf)
        weight = dropout(self._weight(score, relation[:, None]), self.dropout, self.training)
        out: Tensor = self.output((weight @ value).transpose(1, 2).flatten(2))
        return out

    def _weight(self, score: Tensor, relation: Tensor) -> Tensor:
        """Shapes: score (B, H, P, P), relation (B, 1, P, P) → (B, H, P, P)."""
        if self.mixing in ("graph", "kernel"):
            weight = (score - score.amax(3, keepdim=True)).exp() * relation
            return weight / weight.sum(3, keepdim=True).clamp(min=1e-6)
        weight = score.softmax(3)
        return weight * relation if self.mixing == "hadamard" else weight


class ViTBlock(nn.Module):
    """U = X + drop(attention(LN(X))); U + drop(W' drop(relu(W LN(U) + b)) + b'), inner width 2 D.

    Shapes: x (B, P, D), relation (B, P, P), mask (B, P) → (B, P, D).
    """

    def __init__(self, mixing: str, dim: int, *, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = PatchAttention(mixing, dim, dropout=dropout)
        self.norm = nn.LayerNorm(dim)
        self.first = Dense(dim, 2 * dim)
        self.second = Dense(2 * dim, dim)
        self.dropout = dropout

    def forward(self, x: Tensor, relation: Tensor, mask: Tensor) -> Tensor:
        told = self.attention(self.attention_norm(x), relation, mask)
        x = x + dropout(told, self.dropout, self.training)
        rates = (0.0, self.dropout, self.dropout)
        return residual_mlp(x, self.norm, self.first, self.second, relu=True, rates=rates)


class GraphViT(nn.Module):
    """ViTBlocks, without a norm at the end. Shapes: x (B, P, D) → (B, P, D).

    Raises UserError where the heads do not divide D.
    """

    def __init__(self, mixing: str, dim: int, *, num_layers: int, dropout: float) -> None:
        super().__init__()
        check_heads(dim, HEADS)
        self.is_kernel = mixing == "kernel"
        self.blocks = nn.ModuleList(
            ViTBlock(mixing, dim, dropout=dropout) for _ in range(num_layers)
        )

    def forward(self, x: Tensor, patches: Patches) -> Tensor:
        relation, mask = patches.coarse, patches.mask
        if self.is_kernel:
            with torch.autocast(x.device.type, enabled=False):
                degree = relation.sum(2, keepdim=True).clamp(min=1)
                relation = torch.linalg.matrix_power(relation / degree, KERNEL_STEPS)
        relation = relation.to(x.dtype)
        for block in self.blocks:
            x = block(x, relation, mask)
        return x
