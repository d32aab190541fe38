"""Steps of torch's fused Adam and AdamW without what torch does around them in each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW
from torch.optim.adam import adam

OTHERWISE = ("amsgrad", "maximize", "differentiable", "capturable")  # not here


class FusedAdam:
    """The steps of an optimizer by torch's function for them, on the optimizer's own state.

    `Adam.step` gathers parameters and moments anew each time and offers itself to profilers and
    hooks, which takes longer than the step on the weights of a citation graph's model.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.parts: list[tuple[dict[str, Any], list[Tensor], list[list[Tensor]]]] = []

    @staticmethod
    def of(optimizer: torch.optim.Optimizer) -> FusedAdam | None:
        """None for another optimizer, and for one with options that this knows nothing of."""
        if type(optimizer) not in (Adam, AdamW):
            return None
        for group in optimizer.param_groups:
            is_known = group.get("fused") and "decoupled_weight_decay" in group
            if not is_known or any(group[name] for name in OTHERWISE):
                return None
        return FusedAdam(optimizer)

    @torch.no_grad()
    def step(self) -> None:
        """One step down the gradients. The first of a process is torch's, which makes the state."""
        gradients = [
            [parameter.grad for parameter in group["params"]]
            for group in self.optimizer.param_groups
        ]
        has_all = all(grad is not None for grads in gradients for grad in grads)
        if not has_all or not (self.parts or self._gathered()):
            self.optimizer.step()
            return
        for (group, parameters, moments), grads in zip(self.parts, gradients, strict=True):
            means, squares, steps = moments
            beta1, beta2 = group["betas"]
            adam(
                parameters,
                grads,
                means,
                squares,
                [],
                steps,
                fused=True,
                decoupled_weight_decay=group["decoupled_weight_decay"],
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )

    def _gathered(self) -> bool:
        """Gather what a step changes; False before there are moments."""
        groups, state = self.optimizer.param_groups, self.optimizer.state
        if not all(state[parameter] for group in groups for parameter in group["params"]):
            return False
        names = ("exp_avg", "exp_avg_sq", "step")
        self.parts = [
            (
                group,
                [*group["params"]],
                [[state[parameter][name] for parameter in group["params"]] for name in names],
            )
            for group in groups
        ]
        return True
