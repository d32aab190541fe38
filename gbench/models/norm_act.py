"""What stands between two layers: batch norm, ReLU, dropout, each where it is asked for."""

from __future__ import annotations

from torch import Tensor, nn

from gbench.kernels import norm_act
from gbench.kernels.act_dropout import act_dropout


class NormAct(nn.Module):
    """dropout(relu(batch_norm(x))), the statistics taken over all nodes (or graphs) of the batch.

    Shapes: x (N, F) → (N, F).
    """

    def __init__(self, dim: int, *, norm: bool, relu: bool, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim) if norm else None
        self.relu = relu
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        if self.norm is not None:
            return norm_act(x, self.norm, relu=self.relu, dropout=self.dropout)
        rate = self.dropout if self.training else 0.0
        return act_dropout(x, act="relu" if self.relu else "none", rate=rate)
