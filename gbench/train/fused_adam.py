"""Steps of torch's fused Adam and AdamW without what torch does around them in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW
from torch.optim.adam import adam
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.hooks import RemovableHandle

OTHERWISE = ("amsgrad", "maximize", "differentiable", "capturable")  # not here


class FusedAdam:
    """The steps of an optimizer by torch's function for them, on the optimizer's own state.

    `Adam.step` gathers parameters and moments anew each time and offers itself to profilers and
    hooks, which takes longer than the step on the weights of a citation graph's model. Where there
    is a hook, or a `step` that was put on the optimizer itself, the step is the optimizer's own.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.parts: list[tuple[dict[str, Any], list[Tensor], list[list[Tensor]]]] = []
        self.hooks = [
            _hooks(optimizer.register_step_pre_hook),
            _hooks(optimizer.register_step_post_hook),
            _hooks(register_optimizer_step_pre_hook),
            _hooks(register_optimizer_step_post_hook),
        ]

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

    def step(self, closure: Callable[[], Any]) -> None:
        """One step down the gradients that the closure computes, as `optimizer.step(closure)`.

        The first of a process is torch's, which makes the state.
        """
        if any(self.hooks) or "step" in vars(self.optimizer):
            self.parts = []  # a hook may do anything
            self.optimizer.step(closure)
        else:
            closure()
            self._step()

    @torch.no_grad()
    def _step(self) -> None:
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


def _hooks(register: Callable[[Any], RemovableHandle]) -> Mapping[int, Any]:
    """What is registered so, now and later; torch names it to who has registered something."""
    handle = register(_hooks)
    hooks: Mapping[int, Any] | None = handle.hooks_dict_ref()
    assert hooks is not None
    handle.remove()
    return hooks
