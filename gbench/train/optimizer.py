"""The optimizer of a run, with its parameters in groups by weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from gbench.errors import UserError
from gbench.train.asam import ASAM


def make_optimizer(
    model: nn.Module, optim: Mapping[str, Any], *, fused: bool
) -> torch.optim.Optimizer:
    """Adam or ASAM; `decay_prefix` tells the parameters of one weight decay from the others.

    Raises UserError for a prefix that no parameter's name begins with.
    """
    prefix, is_asam = optim["decay_prefix"], optim["optimizer"] == "asam"
    prefixes = (prefix, f"encoder.{prefix}")  # the second within a link predictor
    names = [name for name, _ in model.named_parameters()]
    if not any(name.startswith(prefixes) for name in names):
        begin = ", ".join(sorted({name.split(".")[0] for name in names}))
        raise UserError(f"optim.decay_prefix={prefix}: no parameter begins so; they are in {begin}")
    groups: dict[tuple[tuple[str, float], ...], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decay = "weight_decay" if name.startswith(prefixes) else "decay_of_others"
        settings = {"weight_decay": optim[decay]}
        if is_asam:
            settings["adaptive"] = parameter.dim() > 0 and not name.endswith("bias")
        groups.setdefault(tuple(settings.items()), []).append(parameter)
    parameters = [{"params": group, **dict(settings)} for settings, group in groups.items()]
    if is_asam:
        momentum, rho, eta = optim["momentum"], optim["rho"], optim["eta"]
        return ASAM(parameters, lr=optim["lr"], momentum=momentum, rho=rho, eta=eta)
    return torch.optim.Adam(parameters, lr=optim["lr"], fused=fused)


@torch.no_grad()
def decay_penalty(optimizer: torch.optim.Optimizer) -> float:
    """What weight decay adds to the loss: Σ decay / 2 · ‖w‖² over the parameters."""
    total = 0.0
    for group in optimizer.param_groups:
        if group["weight_decay"]:
            squares = [parameter.square().sum() for parameter in group["params"]]
            total += group["weight_decay"] / 2 * torch.stack(squares).sum().item()
    return total
