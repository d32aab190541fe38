"""Which settings tell the rows of a table apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gbench.choices import SEVERAL
from gbench.config.flat import flatten
from gbench.config.floors import is_floor
from gbench.config.identity import NOTHING, decisive


def is_told(key: str) -> bool:
    """Whether the name of an encoding, or of one of several, says this of it."""
    group, *below = key.split(".")
    if group not in SEVERAL:
        return False
    return below[-1:] == ["_target_"] or (group == "encoding" and below[-1:] == ["values"])


def differing_settings(configs: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """For each (model, config), the dotted settings that tell it from the others.

    A setting counts if two rows have different values of it, or if among rows of one model some
    have it and some do not; that another model lacks it says nothing, nor does what a floor has for
    want of a network. Settings that tell rows of one model apart come first: without them two rows
    would look the same.
    """
    flat = [dict(flatten(decisive(config))) for _, config in configs]
    for settings in flat:
        for group, nothing in NOTHING.items():
            if settings.get(f"{group}.name") != nothing:  # its name says what its file does
                told = {f"{group}._target_"} | {key for key in settings if is_told(key)}
                for key in told & settings.keys():
                    del settings[key]
    floors = [is_floor(config.get("model", {})) for _, config in configs]
    anywhere: dict[str, set[str]] = {}  # key: its values
    of_networks: dict[str, set[str]] = {}
    by_model: dict[str, list[dict[str, str]]] = {}
    for (model, _), settings, is_one in zip(configs, flat, floors, strict=True):
        texts = {key: repr(value) for key, value in settings.items()}
        by_model.setdefault(model, []).append(texts)
        for key, text in texts.items():
            anywhere.setdefault(key, set()).add(text)
            if not is_one:
                of_networks.setdefault(key, set()).add(text)
    candidates = [key for key, values in anywhere.items() if len(values) > 1]
    # A model's class, and its code, differ wherever its name does.
    across = {
        key
        for key, values in of_networks.items()
        if len(values) > 1 and key not in ("model.name", "model._target_", "code")
    }
    within = set()
    for same_model in by_model.values():
        if len(same_model) == 1:
            continue
        times = Counter(key for texts in same_model for key in texts)
        within |= {key for key, count in times.items() if count < len(same_model)}
        within |= {key for key in candidates if len({texts.get(key) for texts in same_model}) > 1}
    keys = sorted(across | within, key=lambda key: (key not in within, key))
    return [
        {key: settings[key] for key in keys if key in settings and (key in within or not is_one)}
        for settings, is_one in zip(flat, floors, strict=True)
    ]
