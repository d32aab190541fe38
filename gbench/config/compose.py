"""From the command line's overrides to one plain, checked config.

Hydra composes `gbench/conf` and the user's `--config-dir`; everything that can be wrong with the
result (an unknown choice, key, type or value, a model on data it cannot do) is told here, before
torch is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gbench import folders
from gbench.choices import (
    GROUPS,
    PACKAGED,
    choices,
    read_yaml,
    takes_place,
    title,
)
from gbench.config.checks import CARD, check_keys, check_values
from gbench.config.experiment import experiment_of_pair
from gbench.config.flat import flatten
from gbench.config.identity import NOTHING, same_setting
from gbench.config.optim import opened
from gbench.config.own_files import check_chosen, own_files, placed
from gbench.config.protocol import check_typed
from gbench.data.places import data_source, own_folder, with_own
from gbench.data.spec import with_name, with_split
from gbench.errors import UserError, unknown
from gbench.own_code import importing
from gbench.own_code.stated import stated as stated_code

Config = dict[str, Any]

_SECTIONS = ("model", "data", "encoding", "batching", "optim", "predictor", "trainer", "logger")


def compose(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> Config:
    """The config of one run, with `name` filled in for model and data.

    `experiment` is the published setting that the run has, null if the command line changes it.

    Raises UserError for anything that the user has to mend.
    """
    own_code = find_own_code(config_dirs)
    overrides, place = data_source(overrides)
    overrides, own_facts = own_folder(overrides)
    for group in GROUPS:
        choices(group, config_dirs)  # refuses two of one name
    overrides, member = _member_of_collection(overrides, config_dirs)
    picks = _picks(overrides, config_dirs)
    split = [word for word in overrides if word.startswith("data.split=")]
    named = set(picks)
    picks |= experiment_of_pair(picks, split, config_dirs)
    words = [f"{group}={choice}" for group, choice in picks.items() if choice != "null"]
    words += split + member
    values = [word for word in overrides if word.split("=", 1)[0] not in (*GROUPS, "data.split")]
    values = [opened(word) for word in values]

    files = own_files(picks, config_dirs)
    typed = [word.split("=", 1)[0].lstrip("+") for word in values]
    try:
        base = with_own(_hydra_compose(words, config_dirs), own_facts)
        for group in ("model", "data", "encoding", "batching", "logger"):
            check_chosen(base[group], group, files)
        check_keys(values, base)
        config = base
        if values:
            config = with_own(_hydra_compose([*words, *values], config_dirs), own_facts)
        check_values(config, base, config_dirs)
    except UserError as error:
        raise placed(error, files, typed) from error
    check_typed(typed, dict(flatten(config)))
    before, after = dict(flatten(base["data"])), dict(flatten(config["data"]))
    changed = {key for key in before | after if before.get(key) != after.get(key)} - {"fold"}
    variant = " ".join(f"{key}={after.get(key)}" for key in sorted(changed))
    if variant:
        config["data"]["variant"] = variant
    if config["data"]["level"] != "link":
        del config["predictor"]
    experiment = picks.get("experiment", "null")
    # What chose the experiment is its own; anything else that was picked may change it.
    chose_it = {"experiment"} if "experiment" in named else {"model", "data"}
    others = named - chose_it - {"logger"} or ("experiment" in named and split)
    if experiment != "null" and others:
        alone = _hydra_compose([f"experiment={experiment}", *member], config_dirs)
        base = with_own(alone, own_facts)
    is_ours = not any(takes_place(*file) for file in files if file.group != "logger")
    unchanged = experiment != "null" and is_ours and same_setting(config, base)
    # a run may be resumed from another folder than it began in
    places = {"data_dir": folders.data_dir, "cache_dir": folders.cache_dir}
    absolute = {key: str(at(config[key])) for key, at in places.items() if config[key]}
    composed = {
        **config,
        **absolute,
        "experiment": experiment if unchanged else None,
        "data_source": place,
        "config_dirs": own_code,
    }
    code = stated_code(composed, [Path(folder) for folder in own_code], CARD)
    return {**composed, "code": code} if code else composed


def find_own_code(config_dirs: Sequence[Path]) -> list[str]:
    """Let Python find the classes that the YAML files in the user's folders name."""
    for folder in config_dirs:
        if not folder.is_dir():
            raise UserError(f"--config-dir {folder}: there is no such folder")
    paths = [str(folder.absolute()) for folder in config_dirs]
    importing.use(paths)
    return paths


def load(path: Path) -> Config:
    """The config that a run left in its folder."""
    try:
        config = read_yaml(path)
    except FileNotFoundError:
        raise UserError(f"{path.parent} is no run's folder: it has no {path.name}") from None
    importing.use(config["config_dirs"])
    # of runs from before there was a choice, or by another name
    if "decay_only" in config["optim"]:
        config["optim"]["decay_prefix"] = config["optim"].pop("decay_only")
    usual = read_yaml(PACKAGED / "train.yaml")
    sections = {name: {**usual[name], **config[name]} for name in ("optim", "trainer")}
    return {"encoding": {"name": "none"}, "batching": {"name": "full"}, **config, **sections}


def _member_of_collection(
    overrides: Sequence[str], config_dirs: Sequence[Path]
) -> tuple[list[str], list[str]]:
    """The overrides without the `data.name=` that chooses from a collection, and that word.

    A dataset that also has a YAML of its own stands under its one name: that file is chosen.
    """
    chosen = [word.removeprefix("data=") for word in overrides if word.startswith("data=")]
    path = choices("data", config_dirs).get(chosen[-1]) if chosen else None
    names = read_yaml(path).get("names", {}) if path else {}
    words = [word for word in overrides if names and word.startswith("data.name=")]
    rest = [word for word in overrides if word not in words]
    own = names.get(words[-1].removeprefix("data.name=")) if words else None
    if isinstance(own, str):
        return [f"data={own}" if word.startswith("data=") else word for word in rest], []
    return rest, words


def _picks(overrides: Sequence[str], config_dirs: Sequence[Path]) -> dict[str, str]:
    """The chosen file of each group that the user named, each checked to exist."""
    picks = {}
    for word in overrides:
        group, equals, choice = word.partition("=")
        if group.lstrip("~+") in GROUPS and group[0] in "~+":
            raise UserError(f"{word}: choose a {group[1:]} with {group[1:]}=NAME")
        if not equals and not word.startswith("~"):
            raise UserError(
                f"'{word}' is not a setting: type key=value, such as model=gin or seed=3"
            )
        if group in GROUPS:
            available = choices(group, config_dirs)
            if "," in choice:
                raise UserError(
                    f"{word} names several runs, which gbench train starts: here give one {group}"
                )
            if choice not in available and (group, choice) != ("experiment", "null"):
                raise unknown("dataset" if group == "data" else group, choice, available)
            picks[group] = choice
    return picks


def _hydra_compose(overrides: list[str], config_dirs: Sequence[Path]) -> Config:
    """Hydra's composition as plain values; its errors as one sentence for the user."""
    from hydra import compose as hydra_compose
    from hydra.errors import HydraException, OverrideParseException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        with _searching(config_dirs) as search:
            composed = hydra_compose("train", [*overrides, *search], return_hydra_config=True)
        chosen = composed.hydra.runtime.choices
        config: Config = OmegaConf.to_container(
            OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]),
            resolve=True,
        )  # type: ignore[assignment]
    except OverrideParseException as error:
        word = error.override.split("=", 1)[0]
        reason = (
            "one value, please" if "Ambiguous" in str(error) else "quote it, as in 'key=\"a b\"'?"
        )
        raise UserError(f"{error.override}: not a value that {word} can take; {reason}") from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if "requires --multirun" in str(error):
            word = next((w for w in overrides if w in str(error)), "that")
            key, _, value = word.partition("=")
            listed = re.fullmatch(r"choice\((.+)\)", value)
            values = listed[1].replace(" ", "") if listed else "A,B,C"
            raise UserError(
                f"{word}: give the values themselves, {key}={values}, or a range of whole numbers, "
                "A..C"
            ) from error
        key = getattr(error, "full_key", "") or ""
        raise UserError(f"{key}: {_first_sentence(error)}".removeprefix(": ")) from error
    except YAMLError as error:
        raise UserError(f"not valid YAML: {' '.join(str(error).split())}") from error
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
    for group in ("model", "data", "encoding", "batching"):
        found = choices(group, config_dirs)
        name = title(group, found[chosen[group]]) if chosen[group] in found else chosen[group]
        config[group] = {"name": name, **config[group]}
    for group, nothing in NOTHING.items():
        if config[group]["name"] == nothing and "_target_" in config[group]:
            # named within another file: there is no choice whose name it could have
            config[group]["name"] = str(config[group]["_target_"]).rpartition(".")[2]
    stated = with_name(config["data"], chosen["data"])
    if not stated.get("splits") and any(word.startswith("data.split=") for word in overrides):
        raise UserError(f"{stated['name']} has one split, its own: leave out data.split")
    config["data"] = with_split(stated)
    return config


@contextmanager
def _searching(config_dirs: Sequence[Path]) -> Iterator[list[str]]:
    """Hydra with the user's folders before gbench's; and the word that makes it look there."""
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    places = [f"file://{folder.absolute()}" for folder in config_dirs]
    with initialize_config_module("gbench.conf", version_base="1.3"):
        for place in reversed(places):
            GlobalHydra.instance().config_loader().get_search_path().prepend("own", place)
        yield [f"hydra.searchpath=[{','.join(map(repr, places))}]"] if places else []


def _first_sentence(error: BaseException) -> str:
    """What Hydra said, without its hints at environment variables and stack traces."""
    cause = error.__cause__ if error.__cause__ is not None else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    kept = [
        line for line in lines if not re.match(r"(full_key|object_type|reference_type|See )", line)
    ]
    return " ".join(kept[:2]) or type(error).__name__
