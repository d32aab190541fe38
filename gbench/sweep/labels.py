"""How the points of a sweep are called: by what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gbench.config.compose import Config
from gbench.config.flat import flatten

_NAMED = ("model.name", "data.name", "data.variant", "data.fold", "seed")


def labels(configs: Sequence[Config]) -> list[str]:
    """`gcn · cora · lr=0.01 · seed 3`: model, data, what else differs, and where it does, the seed.

    Settings differ where two points of one model on one dataset have different ones.
    """
    flat = [dict(flatten(config)) for config in configs]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for settings in flat:
        groups.setdefault(_group(settings), []).append(settings)
    differing = {group: _differing(members) for group, members in groups.items()}
    several = {key: len({settings[key] for settings in flat}) > 1 for key in ("seed", "data.fold")}
    found = []
    for settings in flat:
        words = [str(word) for word in _group(settings) if word]
        words += [
            f"{key.rpartition('.')[2]}={settings.get(key)}"
            for key in differing[_group(settings)]
            if key not in _NAMED and not key.startswith("runs.")  # what model.teacher resolves to
        ]
        if several["data.fold"]:
            words.append(f"fold {settings['data.fold']}")
        if several["seed"]:
            words.append(f"seed {settings['seed']}")
        found.append(" · ".join(words))
    return found


def _group(settings: dict[str, Any]) -> tuple[Any, ...]:
    return settings["model.name"], settings["data.name"], settings.get("data.variant", "")


def _differing(members: list[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for settings in members for key in settings)
    return [key for key in keys if len({repr(settings.get(key)) for settings in members}) > 1]
