"""The choice of each group: what was typed, then what the experiment and the model choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gbench.choices import SEVERAL, choices, default_choice, members
from gbench.config.own_files import OwnFile, builds_on
from gbench.errors import UserError, unknown


def with_choices_of_files(picks: Mapping[str, str], config_dirs: Sequence[Path]) -> dict[str, str]:
    """The picks, and for other groups the choices in the defaults of the experiment and the model.

    The experiment's win over the model's, and what was picked over both.
    """
    experiment = picks.get("experiment", "null")
    of_experiment = choices_of("experiment", experiment, config_dirs)
    model = {**of_experiment, **picks}.get("model", default_choice("model"))
    chosen = {**choices_of("model", model, config_dirs), **of_experiment, **picks}
    for group, choice in chosen.items():
        _check_list(group, choice)
    return chosen


def choices_of(group: str, name: str, config_dirs: Sequence[Path]) -> dict[str, str]:
    """The choices of other groups that a file makes; one that it builds on makes the others."""
    found: dict[str, str] = {}
    waiting, seen = [name], set[str]()
    while waiting:
        name = waiting.pop()
        path = choices(group, config_dirs).get(name)
        if path is None or name in seen:  # what is not there is told with the file that names it
            continue
        seen.add(name)
        for other, choice in builds_on(OwnFile(group, path)):
            if other == group:
                waiting.append(choice)
            elif "$" not in choice:  # which Hydra fills in
                found.setdefault(other, choice)
    return found


def checked_choice(group: str, choice: str, config_dirs: Sequence[Path]) -> str:
    """A choice that is there, or a list of them where the group takes one.

    Raises UserError for any other.
    """
    available, names = choices(group, config_dirs), members(choice)
    for name in names:
        if name not in available and (group, name) != ("experiment", "null"):
            raise unknown("dataset" if group == "data" else group, name, available)
    return f"[{','.join(names)}]" if len(names) > 1 else names[0]


def _check_list(group: str, choice: str) -> None:
    names = members(choice)
    if len(names) > 1 and group not in SEVERAL:
        several = " and ".join(SEVERAL)
        raise UserError(f"{group}={choice}: one, please; a list may be given of {several}")
    for name in names:
        if len(names) > 1 and (name == "none" or names.count(name) > 1):
            wrong = "cannot stand beside others" if name == "none" else "is listed more than once"
            raise UserError(f"{group}={choice}: {name} {wrong}")
