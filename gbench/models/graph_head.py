"""What reads a graph's answer off its vector in GraphGPS's family of models.

Legend: B graphs, D dim, C outputs.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from gbench.errors import UserError
from gbench.models.dense import Dense
from gbench.models.dropout import dropout

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


def activation(act: str) -> nn.Module:
    """The module of this name."""
    return ACTIVATIONS[act]()


class GraphHead(nn.Module):
    """An MLP without norms, dropout after each activation, by `kind`.

    linear    one layer
    hidden    D → D → C
    halves    D → D/2 → D/4 → C
    mlp       D → D → D → C

    Shapes: x (B, D) → (B, C). Raises UserError where D has no quarter.
    """

    def __init__(
        self, kind: str, dim: int, num_outputs: int, act: str = "relu", *, rate: float = 0.0
    ) -> None:
        super().__init__()
        if kind == "halves" and dim < 4:
            raise UserError(f"model.hidden_dim={dim}: model.head=halves needs 4 or more")
        inner = {"linear": (), "hidden": (dim,), "halves": (dim // 2, dim // 4), "mlp": (dim, dim)}[
            kind
        ]
        widths = (dim, *inner, num_outputs)
        self.layers = nn.ModuleList(
            Dense(before, after) for before, after in itertools.pairwise(widths)
        )
        self.activation = activation(act)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = dropout(self.activation(layer(x)), self.rate, self.training)
        out: Tensor = last(x)
        return out
