"""What stands between two layers: batch norm, ReLU, dropout, each where it is asked for."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


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
            x = self.norm(x)
        if self.relu:
            x = F.relu(x)
        return F.dropout(x, self.dropout, self.training)
