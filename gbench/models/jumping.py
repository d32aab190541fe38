"""Jumping knowledge: what follows reads the outputs of all layers (Xu et al., ICML 2018).

Legend: N nodes, D width of a layer, L layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor

from gbench.errors import UserError

# how wide what follows is, of layers of this width and number
JUMPS: dict[str, Callable[[int, int], int]] = {
    "max": lambda dim, layers: dim,
    "cat": lambda dim, layers: dim * layers,
    "none": lambda dim, layers: dim,
}


def jumped(outputs: Sequence[Tensor], jk: str) -> Tensor:
    """The largest of each element (max), all side by side (cat), or the last layer's (none).

    Shapes: L times (N, D) → (N, D), or (N, L · D).
    """
    if jk == "none":
        return outputs[-1]
    return torch.cat([*outputs], 1) if jk == "cat" else reduce(torch.maximum, outputs)


def check_jump(jk: str) -> None:
    """Raise UserError unless `jk` is one of JUMPS."""
    if jk not in JUMPS:
        raise UserError(f"model.jk={jk}: this model has {', '.join(JUMPS)}")
