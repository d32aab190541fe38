"""Whether a config still is the published setting that it began with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gbench.choices import choices, default_choice, read_yaml, takes_place
from gbench.config.chosen import with_choices_of_files
from gbench.config.composition import Composition
from gbench.config.experiment import split_of
from gbench.config.identity import HARDWARE, same_setting
from gbench.config.own_files import OwnFile
from gbench.config.request import Request
from gbench.data.places import with_own

Config = dict[str, Any]

_TOLD_BY_NAME = (
    "model",
    "data",
    "transform",
    "encoding",
    "batching",
)  # the choice counts in the identity


def is_unchanged(request: Request, files: Sequence[OwnFile], config: Config, base: Config) -> bool:
    """Whether a config, composed as `base` without the typed values, is its experiment's setting.

    On whatever hardware: see `same_setting`. Another choice may say the same as the experiment's,
    but seldom does; only where the files alone do not tell, the experiment is composed by itself.
    """
    if request.experiment is None:
        return False
    if any(takes_place(*file) for file in files if file.group != "logger"):
        return False
    # What chose the experiment is its own; anything else that was picked may change it.
    chose_it = {"experiment"} if "experiment" in request.named else {"model", "data"}
    others = request.named - chose_it - {"logger"}
    if not others and not ("experiment" in request.named and request.split):
        return same_setting(config, base)
    chosen = {group: default_choice(group) for group in (*_TOLD_BY_NAME, "trainer")}
    chosen |= with_choices_of_files({"experiment": request.experiment}, request.config_dirs)
    other = {group for group, name in chosen.items() if request.picks.get(group, name) != name}
    if other & {*_TOLD_BY_NAME}:
        return False
    if not files and _is_other_split(request, chosen["data"]):
        return False
    if files or ("trainer" in other and not _are_hardware(request.picks, chosen)):
        alone = Composition({"experiment": request.experiment}, request.member, request.config_dirs)
        base = with_own(alone.plain(), request.own_facts)
    return same_setting(config, base)


def _is_other_split(request: Request, data: str) -> bool:
    """Whether a split was named that is not the experiment's."""
    own = split_of(str(request.experiment), data, choices("experiment"), choices("data"))
    return bool(request.split) and request.split[-1].removeprefix("data.split=") != own


def _are_hardware(*picks: Mapping[str, str]) -> bool:
    """Whether each of two choices of `trainer` sets nothing but what a run computes on."""
    trainers = choices("trainer")
    return all({*read_yaml(trainers[chosen["trainer"]])} <= HARDWARE for chosen in picks)
