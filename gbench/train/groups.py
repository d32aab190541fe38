"""Parameters in groups: which of them have a learning rate, weight decay or option of their own."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from gbench.errors import UserError


def parameter_groups(model: nn.Module, optim: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The groups that a torch optimizer takes, each with its `weight_decay` and what else differs.

    The first entry of `optim.groups` counts whose `match` fits a parameter's name, as a shell
    pattern does (`layers.0.*`); within a link predictor the name that the model alone would give
    it fits as well. What an entry does not say is as for the parameters of no entry.

    Raises UserError for a pattern or a prefix that fits no parameter, and for a pattern that has
    none left because all that it fits are in entries before it.
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
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        settings = {"weight_decay": optim["weight_decay"]}
        for rules in (by_prefix, optim["groups"]):
            settings |= next((rule for rule in rules if _fits(name, rule["match"])), {})
        settings.pop("match", None)
        if optim["optimizer"] == "asam":
            settings["adaptive"] = parameter.dim() > 0 and not name.endswith("bias")
        key = json.dumps(settings, sort_keys=True)
        groups.setdefault(key, {"params": [], **settings})["params"].append(parameter)
    return [*groups.values()]


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
