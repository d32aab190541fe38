"""Gradients are derivatives."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gbench.contracts.contract import BrokenError, Contract, NotApplicableError
from gbench.contracts.models.subject import Subject

# The shorter one is for models of so many ReLUs that one of them bends within the longer.
STEPS, NEAR = (1e-6, 1e-8), 1e-4
ROUNDING = 1e-15  # of a value in float64


def check(subject: Subject) -> None:
    if subject.dtype != torch.float64:
        raise NotApplicableError("it computes in float32 alone, too rough for finite differences")
    model = subject.model()
    batch = subject.batch(model, subject.pieces, torch.float64)
    generator = torch.Generator().manual_seed(6)
    weight = torch.randn(model(batch).shape, generator=generator, dtype=torch.float64)

    def value() -> float:
        return (subject.answers_to(model, batch) * weight).sum().item()

    here, size = value(), (model(batch) * weight).abs().sum().item()
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(
        (model(batch) * weight).sum(), list(named.values()), allow_unused=True
    )
    for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        told = 0.0 if gradient is None else (gradient * direction).sum().item()
        for step in STEPS:
            slopes = [
                (_moved(value, parameter, by * direction) - here) / by for by in (step, -step)
            ]
            # where a ReLU bends, the slopes ahead and behind differ, and a gradient is between them
            near = NEAR * max(1.0, abs(told), *map(abs, slopes)) + ROUNDING * size / step
            if min(slopes) - near <= told <= max(slopes) + near:
                break
        else:
            raise BrokenError(
                f"along a random direction of {name} the gradient says {told:.4g}, "
                f"finite differences {slopes[0]:.4g}"
            )


@torch.no_grad()
def _moved(value: Callable[[], float], parameter: Tensor, by: Tensor) -> float:
    """The value where a parameter is elsewhere."""
    kept = parameter.clone()
    parameter += by
    there = value()
    parameter.copy_(kept)
    return there


CONTRACT = Contract(
    "gradient",
    "gradients are what finite differences in float64 give",
    "training follows something else than the slope of its loss",
    "detach, .data, no_grad, a backward of your own, operations that are not smooth",
    check,
    ("answers", "repeatable"),
)
