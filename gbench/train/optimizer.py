"""The optimizer of a run: one of torch's, ASAM, or one of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gbench.errors import UserError, unknown
from gbench.locate import locate
from gbench.train.asam import ASAM
from gbench.train.groups import own_groups, parameter_groups
from gbench.train.own_method import model_of

# torch's that cannot step as a run does
_UNFIT = {
    torch.optim.LBFGS: "computes the loss several times in a step and has no groups of parameters",
    torch.optim.SparseAdam: "takes sparse gradients alone, which no model here has",
}
# whose weight decay is no gradient of a penalty
_DECOUPLED = tuple(
    getattr(torch.optim, name)
    for name in ("AdamW", "Adafactor", "Muon")  # the last two came with torch 2.5 and 2.9
    if hasattr(torch.optim, name)
)
_PLACED = ("lr", "weight_decay")  # arguments that are settings of their own


def make_optimizer(
    model: nn.Module, optim: Mapping[str, Any], *, fused: bool
) -> torch.optim.Optimizer:
    """`optim.optimizer` on the model's parameters, in the groups that `optim` tells apart.

    Each group keeps its rate before any schedule as `initial_lr`, as torch's own schedules do.
    `fused` is whether Adam and AdamW may update all parameters in one pass.

    Raises UserError as `optimizer_class` and `parameter_groups` do, and for values that the
    optimizer refuses.
    """
    kind = optimizer_class(optim)
    arguments = {"lr": optim["lr"], **optim["options"]}
    if kind is ASAM:
        arguments |= {name: optim[name] for name in ("momentum", "rho", "eta")}
    if kind in (torch.optim.Adam, torch.optim.AdamW) and "foreach" not in arguments:
        arguments = {"fused": fused, **arguments}
    groups = parameter_groups(model, optim)
    _check_own_groups(model, kind, optim)
    try:
        made: torch.optim.Optimizer = kind(groups, **arguments)
    except (ValueError, TypeError, RuntimeError) as error:
        if not kind.__module__.startswith("torch."):
            raise
        raise UserError(f"optim.optimizer={optim['optimizer']}: {error}") from error
    for group in made.param_groups:
        group.setdefault("initial_lr", group["lr"])
    return made


def optimizer_class(optim: Mapping[str, Any]) -> type[torch.optim.Optimizer]:
    """The class that `optim.optimizer` names: `asam`, torch's in any case, or `my_module.Lion`.

    Raises UserError for a name that is unknown, for a class that is no optimizer or cannot step as
    a run does, for options, also those of `optim.groups`, that its constructor does not take, and
    for a step that takes no closure.
    """
    kind = _class(optim["optimizer"])
    for unfit, reason in _UNFIT.items():
        if issubclass(kind, unfit):
            raise UserError(f"optim.optimizer={optim['optimizer']} {reason}: take another, as adam")
    if kind is ASAM and optim["options"]:
        key = next(iter(optim["options"]))
        raise UserError(f"optim.options.{key}: asam takes optim.momentum, rho and eta alone")
    _check_arguments(kind, optim)
    try:
        inspect.signature(kind.step).bind(None, closure=None)
    except TypeError as error:
        called = f"optim.optimizer={optim['optimizer']}: its step is called as step(closure=...)"
        raise UserError(f"{called}: {error}") from error
    return kind


def _check_own_groups(
    model: nn.Module, kind: type[torch.optim.Optimizer], optim: Mapping[str, Any]
) -> None:
    """Raise UserError where the model's own groups set what the optimizer does not take."""
    taken = [*inspect.signature(kind).parameters.values()][1:]
    if any(each.kind is each.VAR_KEYWORD for each in taken):
        return
    names = {each.name for each in taken} | ({"weight_decay"} if kind is ASAM else set())
    for settings in own_groups(model).values():
        for key in settings.keys() - names:
            said = f"setting in the groups of {type(model_of(model)).__qualname__}, with"
            raise unknown(f"{said} optim.optimizer={optim['optimizer']},", key, names)


def _check_arguments(kind: type[torch.optim.Optimizer], optim: Mapping[str, Any]) -> None:
    said, options = f"optim.optimizer={optim['optimizer']}", optim["options"]
    taken = [*inspect.signature(kind).parameters.values()][1:]
    named = {
        each.name: each
        for each in taken
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    }
    takes_any = any(each.kind is each.VAR_KEYWORD for each in taken)
    free = [name for name in named if name not in _PLACED] if kind is not ASAM else []
    for key in options:
        if key in _PLACED:
            raise UserError(f"optim.options.{key}: the place of {key} is optim.{key}")
        if key not in free and not takes_any:
            raise unknown(f"option of {said}", key, free)
    for key in {key for entry in optim["groups"] for key in entry} - {"match", *_PLACED, *free}:
        if not takes_any:
            raise unknown(f"setting in optim.groups of {said}", key, ["match", *_PLACED, *free])
    for key in free:
        if named[key].default is inspect.Parameter.empty and key not in options:
            raise UserError(f"{said} needs optim.options.{key}=VALUE")
    if "lr" not in named and not takes_any:
        raise UserError(f"{said}: its constructor takes no lr, which each run sets")
    decays = [optim["weight_decay"], optim["decay_of_others"]]
    decays += [entry.get("weight_decay") for entry in optim["groups"]]
    if "weight_decay" not in named and not takes_any and any(decays) and kind is not ASAM:
        raise UserError(f"{said} has no weight decay: set optim.weight_decay=0")


def has_penalty(optimizer: torch.optim.Optimizer) -> bool:
    """Whether its weight decay is the gradient of a penalty, which AdamW's is not."""
    decoupled = any(group.get("decoupled_weight_decay") for group in optimizer.param_groups)
    return not decoupled and not isinstance(optimizer, _DECOUPLED)


def _class(name: str) -> type[torch.optim.Optimizer]:
    if name == "asam":
        return ASAM
    if "." in name:
        found = locate(name, "optim.optimizer")
        if not (inspect.isclass(found) and issubclass(found, torch.optim.Optimizer)):
            raise UserError(f"optim.optimizer={name} is no class of torch.optim.Optimizer")
        return found
    kinds = {
        key.lower(): value
        for key, value in vars(torch.optim).items()
        if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer)
    }
    del kinds["optimizer"]
    if name.lower() not in kinds:
        fit = ["asam", *(key for key, kind in kinds.items() if kind not in _UNFIT)]
        raise unknown("optimizer", name, fit, "One of your own has a dot, as my_module.Lion")
    return kinds[name.lower()]


@torch.no_grad()
def decayed_squares(optimizer: torch.optim.Optimizer) -> list[tuple[float, Tensor]]:
    """The decay of each group that has one, and ‖w‖² over its parameters, ()."""
    return [
        (
            group["weight_decay"],
            torch.stack([parameter.square().sum() for parameter in group["params"]]).sum(),
        )
        for group in optimizer.param_groups
        if group["weight_decay"]
    ]


def penalty(decays: Sequence[float], squares: Sequence[float]) -> float:
    """What weight decay adds to the loss: Σ decay / 2 · ‖w‖² over the groups."""
    total = 0.0
    for decay, square in zip(decays, squares, strict=True):
        total += decay / 2 * square
    return total


def decay_penalty(optimizer: torch.optim.Optimizer) -> float:
    """That of the weights at hand."""
    found = decayed_squares(optimizer)
    return penalty([decay for decay, _ in found], [square.item() for _, square in found])
