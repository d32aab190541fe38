"""The head of models of molecules: widths D, D / 2, D / 4, then the answers (Dwivedi et al.)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
}


class HalvingHead(nn.Module):
    """W_3 act(W_2 act(W_1 x + b_1) + b_2) + b_3. Shapes: x (B, D) → (B, C)."""

    def __init__(self, dim: int, num_outputs: int, act: str = "relu") -> None:
        super().__init__()
        self.act = ACTIVATIONS[act]
        widths = (dim, dim // 2, dim // 4)
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.last = nn.Linear(widths[-1], num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        for linear in self.hidden:
            x = self.act(linear(x))
        out: Tensor = self.last(x)
        return out
