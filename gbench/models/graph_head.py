"""What reads a graph's answer off its vector in GraphGPS's family of models.

Legend: B graphs, D dim, C outputs.
"""

from __future__ import annotations

from torch import Tensor, nn

from gbench.errors import UserError

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


def activation(act: str) -> nn.Module:
    """The module of this name."""
    return ACTIVATIONS[act]()


class GraphHead(nn.Module):
    """An MLP without norms, by `kind`.

    linear    one layer
    halves    D → D/2 → D/4 → C
    mlp       D → D → D → C

    Shapes: x (B, D) → (B, C). Raises UserError where D has no quarter.
    """

    def __init__(self, kind: str, dim: int, num_outputs: int, act: str = "relu") -> None:
        super().__init__()
        if kind == "halves" and dim < 4:
            raise UserError(f"model.hidden_dim={dim}: model.head=halves needs 4 or more")
        inner = {"linear": (), "halves": (dim // 2, dim // 4), "mlp": (dim, dim)}[kind]
        widths = (dim, *inner)
        hidden = [
            layer
            for before, after in zip(widths, inner, strict=False)
            for layer in (nn.Linear(before, after), activation(act))
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(widths[-1], num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out
