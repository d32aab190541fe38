"""The learning rates of an optimizer's groups: numbers on a CPU, one tensor of the GPU there.

A step that reads its rate on the GPU can be captured, and torch's fused Adam then computes the same
in a captured step and in one that is not: given as a number the rate would be a double, and in a
tensor it is a float32.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Adam, AdamW


class Rates:
    """What `lr` of each group is, at a rate that a schedule says for all of them.

    A group's share of it is its `initial_lr` by the rate before any schedule.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, lr: float) -> None:
        self.groups = optimizer.param_groups
        self.shares = [group.get("initial_lr", lr) / lr for group in self.groups]
        self.tensor: Tensor | None = None
        self.shown: list[float] | None = None

    def of(self, rate: float) -> list[float]:
        """The rate of each group."""
        return [rate * share for share in self.shares]

    def set(self, rate: float) -> None:
        """From now on. On a GPU nothing waits, and nothing is launched for the same rates again."""
        values = self.of(rate)
        if self.tensor is None:
            for group, value in zip(self.groups, values, strict=True):
                group["lr"] = value
        elif values != self.shown:
            for place, value in zip(self.tensor.unbind(), values, strict=True):
                place.fill_(value)
        self.shown = values

    def forget(self) -> None:
        """Something else wrote into the tensor."""
        self.shown = None

    def to(self, device: torch.device) -> None:
        """Lay them into one tensor there, (G,), of which each group's `lr` is an element.

        float32 as torch's kernels on a GPU read it; float64, a Python number's own, on a CPU.
        """
        values = [float(group["lr"]) for group in self.groups]
        is_gpu = device.type == "cuda"
        kind = torch.float32 if is_gpu else torch.float64
        self.tensor, self.shown = torch.tensor(values, dtype=kind, device=device), None
        for group, place in zip(self.groups, self.tensor.unbind(), strict=True):
            group["lr"], group["capturable"] = place, is_gpu

    def to_numbers(self) -> None:
        """Numbers again, of a checkpoint that a GPU wrote."""
        for group in self.groups:
            if isinstance(group["lr"], Tensor):
                group["lr"], group["capturable"] = float(group["lr"]), False


def reads_tensors(optimizer: torch.optim.Optimizer) -> bool:
    """Whether it is fused Adam or AdamW, which read their rate where their parameters are."""
    fused = all(group.get("fused") for group in optimizer.param_groups)
    return type(optimizer) in (Adam, AdamW) and fused
