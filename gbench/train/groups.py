"""Parameters in groups: which of them have a learning rate, weight decay or option of their own."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from gbench.errors import UserError
from gbench.train.own_method import model_of, own_method, place


def parameter_groups(model: nn.Module, optim: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The groups that a torch optimizer takes, each with its `weight_decay` and what else differs.

    The first entry of `optim.groups` counts whose `match` fits a parameter's name, as a shell
    pattern does (`layers.0.*`); within a link predictor the name that the model alone would give
    it fits as well. What an entry does not say is as for the parameters of no entry.

    Groups of the model's own, of its method `parameter_groups`, come on top: each is a dict with
    `params`, a list of its parameters, and what is set for them; others are as they would be.

    Raises UserError for a pattern or a prefix that fits no parameter, for a pattern that has none
    left because all that it fits are in entries before it, and as `own_groups` does.
    """
    names = [name for name, _ in model.named_parameters()]
    left = set(names)
    for entry in optim["groups"]:
        fitting = {name for name in names if _fits(name, entry["match"])}
        if not fitting:
            raise UserError(
                f"optim.groups: match={entry['match']} fits no parameter; they are "
                f"{', '.join(names)}"
            )
        if not fitting & left:
            raise UserError(
                f"optim.groups: match={entry['match']} sets nothing: all parameters that it fits "
                "are in entries before it, of which the first counts. Put it before them"
            )
        left -= fitting
    by_prefix = _by_prefix(optim, names)
    own = own_groups(model)
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        settings = {"weight_decay": optim["weight_decay"]}
        mine = own.get(name, {})
        for rules in (by_prefix, optim["groups"]):
            rule = next((rule for rule in rules if _fits(name, rule["match"])), {})
            if both := [key for key in rule if key in mine]:
                raise UserError(
                    f"{both[0]} of {name} is set by optim.groups or decay_prefix (match="
                    f"{rule['match']}) and by {place(model_of(model).parameter_groups)}: leave it "
                    "out of one of them"
                )
            settings |= rule
        settings |= mine
        settings.pop("match", None)
        if optim["optimizer"] == "asam":
            settings["adaptive"] = parameter.dim() > 0 and not name.endswith("bias")
        key = json.dumps(settings, sort_keys=True)
        groups.setdefault(key, {"params": [], **settings})["params"].append(parameter)
    return [*groups.values()]


def own_groups(model: nn.Module) -> dict[str, dict[str, Any]]:
    """What the model's own groups set, by the names of its parameters; none without such a method.

    Raises UserError for what is no group of its parameters, and for a parameter in two of them.
    """
    method = own_method(model, "parameter_groups")
    if method is None:
        return {}
    where, names = place(method), {id(p): name for name, p in model.named_parameters()}
    found: dict[str, dict[str, Any]] = {}
    groups = method()
    for group in groups if isinstance(groups, list | tuple) else [groups]:
        params = group.get("params") if isinstance(group, Mapping) else None
        params = [*params] if isinstance(params, Iterable) else []
        if not params or len(group) < 2:
            raise UserError(
                f"{where} returned {_short(group)} for a group: wanted is a dict of params, a "
                "list of parameters of the model, and what is set for them, as "
                '{"params": [*self.conv.parameters()], "weight_decay": 5e-4}'
            )
        settings = {key: value for key, value in group.items() if key != "params"}
        for parameter in params:
            name = names.get(id(parameter), "")
            if not name:
                raise UserError(f"{where}: a group has what is no parameter of the model")
            if name in found:
                raise UserError(f"{where}: {name} is in two groups")
            found[name] = settings
        for key in ("lr", "weight_decay"):
            value = settings.get(key, 0.0)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise UserError(f"{where}: {key} of {name} is {value!r}, not a number from 0 on")
    return found


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return f"a dict of {', '.join(map(str, value)) or 'nothing'}"
    return f"a {type(value).__name__}"


def _by_prefix(optim: Mapping[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """`decay_prefix` and `decay_of_others` as two more entries of `groups`."""
    prefix = optim["decay_prefix"]
    if not prefix:
        return []
    match = f"{glob.escape(prefix)}*"
    if not any(_fits(name, match) for name in names):
        begin = ", ".join(sorted({name.split(".")[0] for name in names}))
        raise UserError(f"optim.decay_prefix={prefix}: no parameter begins so; they are in {begin}")
    return [
        {"match": match, "weight_decay": optim["weight_decay"]},
        {"match": "*", "weight_decay": optim["decay_of_others"]},
    ]


def _fits(name: str, pattern: str) -> bool:
    alone = name.removeprefix("encoder.")  # what a link predictor calls the model
    return fnmatchcase(name, pattern) or fnmatchcase(alone, pattern)
