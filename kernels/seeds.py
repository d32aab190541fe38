"""Seeds for dropout: 63 random bits from torch's generator, in a tensor on the device that drops.

On a GPU a seed of its own for each dropout is a launch each. Within `of_one_draw` all seeds of a
device are elements of one draw, which is one launch; it is made where the first seed is asked for,
of a fixed size, and anew each time: so what a seed is follows from the generator's state at the
beginning alone, a run that is cut and resumed drops the same, and a captured CUDA graph that holds
the beginning draws again each time it is replayed. Elsewhere, and on the CPU, a seed is a draw.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

BELOW = 2**63 - 1
SIZE = 64  # seeds of one draw; who needs more draws again

_open = threading.local()


def seed_on(device: torch.device) -> Tensor:
    """A seed. Shapes: → (), int64."""
    if device.type != "cuda" or torch.compiler.is_compiling():
        return torch.randint(BELOW, (), device=device)
    draws: dict[torch.device, Iterator[Tensor]] | None = getattr(_open, "draws", None)
    if draws is None:
        return torch.randint(BELOW, (), device=device)
    if device not in draws:
        draws[device] = _elements(device)
    return next(draws[device])


def _elements(device: torch.device) -> Iterator[Tensor]:
    while True:
        seeds = torch.randint(BELOW, (SIZE,), device=device)
        yield from (seeds.select(0, place) for place in range(SIZE))


@contextmanager
def of_one_draw() -> Iterator[None]:
    """Within, a GPU's seeds are elements of one draw.

    For code that draws no seed twice: `torch.utils.checkpoint`, which runs a part again from the
    generator's state, would get other seeds.
    """
    before, _open.draws = getattr(_open, "draws", None), {}
    try:
        yield
    finally:
        _open.draws = before
