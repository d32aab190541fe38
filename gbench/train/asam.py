"""ASAM: Kwon et al., "ASAM: Adaptive Sharpness-Aware Minimization", ICML 2021."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class ASAM(torch.optim.SGD):
    """Momentum steps down the gradient at the worst point near the weights w, not at w itself.

    With g the gradient at w and T = |w| + η elementwise, that point is w + ρ T² g / ‖T g‖, the norm
    taken over all parameters. In a group with `adaptive` false (biases and single numbers, as in
    the authors' code) T is 1. A step computes two gradients: one at w, one there.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        rho: float,
        eta: float,
    ) -> None:
        super().__init__(groups, lr=lr, momentum=momentum)
        self.rho, self.eta = rho, eta

    @torch.no_grad()
    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]
        """`closure` zeroes the gradients, computes the loss and its gradients, and returns it."""
        with torch.enable_grad():
            loss = closure()
        weights = self._ascend()
        with torch.enable_grad():
            closure()
        for parameter, weight in weights:
            parameter.copy_(weight)
        super().step()
        return loss

    def _ascend(self) -> list[tuple[Tensor, Tensor]]:
        """Go to the worst point nearby; each parameter with its weights before."""
        scaled = []  # parameter, T, T g
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    scale = parameter.abs() + self.eta if group["adaptive"] else 1.0
                    scaled.append((parameter, scale, scale * parameter.grad))
        norm = torch.stack([direction.norm() for _, _, direction in scaled]).norm()
        weights = [(parameter, parameter.clone()) for parameter, _, _ in scaled]
        for parameter, scale, direction in scaled:
            parameter.add_(self.rho / (norm + 1e-16) * scale * direction)
        return weights
