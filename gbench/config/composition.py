"""Hydra's composition of the chosen files, once; typed values are set in it by Hydra's own grammar.

What Hydra composes depends on the choices alone. A typed value comes after all files, so that the
config without the values and the one with them need no composition each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gbench.choices import PACKAGED, choices, members, read_yaml, title
from gbench.config.identity import NOTHING
from gbench.data.spec import with_name, with_split
from gbench.errors import UserError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

Config = dict[str, Any]

_SECTIONS = (
    "model",
    "data",
    "transform",
    "encoding",
    "batching",
    "optim",
    "predictor",
    "trainer",
    "logger",
)


_MISPLACED = "a list stands where a group (key: value) has to be, or a group where a list has to be"


class Composition:
    """The chosen files as one config, and what was typed on top of them so far.

    Raises UserError for what Hydra cannot compose or set, in one sentence.
    """

    def __init__(
        self, picks: Mapping[str, str], words: Sequence[str], config_dirs: Sequence[Path]
    ) -> None:
        self.config_dirs = config_dirs
        self.has_split = any(word.startswith("data.split=") for word in words)
        overrides = _parsed(words)
        self.composed, self.chosen = _composed(picks, config_dirs)
        for override in overrides:
            _apply(self.composed, override)

    def type(self, words: Sequence[str]) -> None:
        """Set what `key=value`, `+key=value`, `++key=value` and `~key` say, one after the other."""
        for override in _parsed(words):
            _apply(self.composed, override)

    def plain(self) -> Config:
        """The config as plain values, names filled in and the split's facts in place."""
        from omegaconf import OmegaConf

        with _told():
            config: Config = OmegaConf.to_container(self.composed, resolve=True)  # type: ignore[assignment]
        for name in _SECTIONS:
            if not isinstance(config.get(name), dict):
                raise UserError(
                    f"{name}: has to be a group of settings, key: value, and a YAML file makes it "
                    f"{config.get(name)!r}"
                )
        for name, settings in read_yaml(PACKAGED / "train.yaml").items():
            for key in settings if isinstance(settings, dict) else ():
                if key not in config[name]:
                    raise UserError(f"gbench needs {name}.{key}; it can be changed but not removed")
        for group in ("model", "data", "transform", "encoding", "batching"):
            found, names = choices(group, self.config_dirs), members(self.chosen[group])
            titles = [title(group, found[name]) if name in found else name for name in names]
            config[group] = {"name": "+".join(titles), **config[group]}
        for group, nothing in NOTHING.items():
            if config[group]["name"] == nothing and "_target_" in config[group]:
                # named within another file: there is no choice whose name it could have
                config[group]["name"] = str(config[group]["_target_"]).rpartition(".")[2]
        stated = with_name(config["data"], self.chosen["data"])
        if not stated.get("splits") and self.has_split:
            raise UserError(f"{stated['name']} has one split, its own: leave out data.split")
        config["data"] = with_split(stated)
        return config


def _composed(
    picks: Mapping[str, str], config_dirs: Sequence[Path]
) -> tuple[DictConfig, dict[str, Any]]:
    """The config of these choices, and the choices of all groups.

    gbench's own files do not change while it runs: of each choice among them Hydra is asked once.
    """
    if config_dirs:
        return _of_hydra(picks, config_dirs)
    return deepcopy(_of_own_files(tuple(picks.items())))


@cache
def _of_own_files(picks: tuple[tuple[str, str], ...]) -> tuple[DictConfig, dict[str, Any]]:
    return _of_hydra(dict(picks), ())


def _of_hydra(
    picks: Mapping[str, str], config_dirs: Sequence[Path]
) -> tuple[DictConfig, dict[str, Any]]:
    """The one call of Hydra."""
    from hydra import compose as hydra_compose
    from omegaconf import OmegaConf, open_dict

    lists = {group: members(choice) for group, choice in picks.items() if choice[:1] == "["}
    one = {**picks, **dict.fromkeys(lists, "none")}
    words = [f"{group}={choice}" for group, choice in one.items() if choice != "null"]
    with _told(), _searching(config_dirs) as search:
        composed = hydra_compose("train", [*words, *search], return_hydra_config=True)
        chosen = dict(composed.hydra.runtime.choices)
        with open_dict(composed):
            del composed["hydra"]
            for group, names in lists.items():
                found = choices(group, config_dirs)
                # below what other files say of them
                usual = {name: _settings(name, found) for name in names}
                composed[group] = OmegaConf.merge(usual, composed[group])
    return composed, {**chosen, **{group: picks[group] for group in lists}}


def _settings(name: str, found: Mapping[str, Path]) -> dict[str, Any]:
    """What a choice's file says, over what those say that it builds on."""
    said = read_yaml(found[name])
    below = [base for base in said.pop("defaults", ()) if base in found and base != name]
    return {key: value for base in below for key, value in _settings(base, found).items()} | said


@contextmanager
def _searching(config_dirs: Sequence[Path]) -> Iterator[list[str]]:
    """Hydra with the user's folders before gbench's; and the word that makes it look there."""
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    places = [f"file://{folder.absolute()}" for folder in config_dirs]
    caller, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None  # a Hydra app's own
    try:
        with initialize_config_module("gbench.conf", version_base="1.3"):
            for place in reversed(places):
                GlobalHydra.instance().config_loader().get_search_path().prepend("own", place)
            yield [f"hydra.searchpath=[{','.join(map(repr, places))}]"] if places else []
    finally:
        GlobalHydra.instance().hydra = caller


def _parsed(words: Sequence[str]) -> list[Override]:
    """The words as Hydra reads them. Raises UserError for one that has several values, or none."""
    if not words:
        return []
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ValueType
    from hydra.errors import OverrideParseException

    try:
        parsed = OverridesParser.create().parse_overrides([*words])
    except OverrideParseException as error:
        word = error.override.split("=", 1)[0]
        reason = (
            "one value, please" if "Ambiguous" in str(error) else "quote it, as in 'key=\"a b\"'?"
        )
        raise UserError(f"{error.override}: not a value that {word} can take; {reason}") from error
    for override in parsed:
        if override.value_type == ValueType.SIMPLE_CHOICE_SWEEP:
            raise UserError(
                f"Ambiguous value for argument '{override.input_line}' 1. To use it as a list, use "
                "key=[value1,value2]"
            )
        if override.is_sweep_override():
            key, _, value = str(override.input_line).partition("=")
            listed = re.fullmatch(r"choice\((.+)\)", value)
            values = listed[1].replace(" ", "") if listed else "A,B,C"
            raise UserError(
                f"{override.input_line}: give the values themselves, {key}={values}, or a range of "
                "whole numbers, A..C"
            )
    return parsed


def _apply(config: DictConfig, override: Override) -> None:
    """Change a config as Hydra does, which keeps the keys that there are unless told with a +."""
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import InterpolationResolutionError

    key, value = override.key_or_group, override.value()
    if override.package is not None:
        raise UserError(
            f"Override {override.input_line} looks like a config group override, but config group "
            f"'{key}' does not exist."
        )
    with _told(str(override.input_line)):
        if override.is_delete():
            there = OmegaConf.select(config, key, throw_on_missing=False)
            if there is None:
                raise UserError(f"Could not delete from config. '{key}' does not exist.")
            if value is not None and value != there:
                raise UserError(
                    f"Could not delete from config. The value of '{key}' is {there} and not "
                    f"{value}."
                )
            section, _, leaf = key.rpartition(".")
            with open_dict(config):
                del (OmegaConf.select(config, section) if section else config)[leaf]
            return
        if (
            override.is_add()
            and OmegaConf.select(config, key, throw_on_missing=False) is not None
            and not isinstance(value, dict | list)
        ):
            raise UserError(
                f"Could not append to config. An item is already at '{key}'. Either remove + "
                f"prefix: '{str(override.input_line)[1:]}'"
            )
        is_new = override.is_add() or override.is_force_add()
        try:
            there = OmegaConf.select(config, key, throw_on_missing=False)
        except InterpolationResolutionError:  # a circle, which this value may open
            there = None
        fits = OmegaConf.is_list(there) == isinstance(value, list)  # else told by its type, later
        OmegaConf.update(config, key, value, merge=fits, force_add=is_new)


@contextmanager
def _told(word: str = "") -> Iterator[None]:
    """What Hydra and OmegaConf raise, as one sentence, after the setting that it is about.

    Where a word is set, the error is OmegaConf's own and most often says the key itself.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        yield
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        cause = error if error.__cause__ is None or word else error.__cause__
        sentence = _first_sentence(cause)
        if word:
            key = "" if word.split("=", 1)[0].lstrip("+~") in sentence else word
        else:
            key = getattr(error, "full_key", "") or ""
        raise UserError(f"{key}: {sentence}".removeprefix(": ")) from error
    except YAMLError as error:
        raise UserError(f"not valid YAML: {' '.join(str(error).split())}") from error


def _first_sentence(error: BaseException) -> str:
    """What Hydra said, without its hints at environment variables and stack traces."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [
        line for line in lines if not re.match(r"(full_key|object_type|reference_type|See )", line)
    ]
    said = " ".join(kept[:2]) or type(error).__name__
    return re.sub(r"ConfigTypeError .*Cannot merge \w+ with \w+", _MISPLACED, said)
