"""From the command line's words to one plain, checked config.

    words -> what is asked for (request.py) -> composed by Hydra, once (composition.py) -> checked

Everything that can be wrong with it (an unknown choice, key, type or value, a model on data it
cannot do) is told here, before torch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gbench import folders
from gbench.choices import PACKAGED, members, read_yaml
from gbench.config.checks import CARD, answers_pairs, check_keys, check_values
from gbench.config.composition import Composition
from gbench.config.flat import flatten
from gbench.config.floors import is_floor, without_network
from gbench.config.identity import NOTHING
from gbench.config.own_files import OwnFile, check_chosen, own_files, placed
from gbench.config.protocol import check_typed
from gbench.config.request import Request, requested
from gbench.config.unchanged import is_unchanged
from gbench.data.places import with_own
from gbench.errors import UserError
from gbench.named_runs import resolved
from gbench.own_code import importing
from gbench.own_code.stated import stated as stated_code

Config = dict[str, Any]


def compose(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> Config:
    """The config of one run, with `name` filled in for model and data.

    `experiment` is the published setting that the run has, null if the command line changes it.

    Raises UserError for anything that the user has to mend.
    """
    own_code = find_own_code(config_dirs)
    request = requested(overrides, config_dirs)
    files = own_files(request.picks, config_dirs)
    try:
        base, config = _composed(request, files)
    except UserError as error:
        raise placed(error, files, request.typed) from error
    check_typed(request.typed, dict(flatten(config)))
    if variant := _variant(config, base["data"]):
        config["data"]["variant"] = variant
    if config["data"]["level"] != "link" or answers_pairs(config["model"]):
        del config["predictor"]
    unchanged = is_unchanged(request, files, config, base)
    if is_floor(config["model"]):
        config = without_network(config, request.typed)
    # a run may be resumed from another folder than it began in
    places = {"data_dir": folders.data_dir, "cache_dir": folders.cache_dir}
    absolute = {key: str(at(config[key])) for key, at in places.items() if config[key]}
    composed = {
        **config,
        **absolute,
        "experiment": request.experiment if unchanged else None,
        "data_source": request.source,
        "config_dirs": own_code,
    }
    composed = resolved(composed)
    code = stated_code(composed, [Path(folder) for folder in own_code], CARD)
    return {**composed, "code": code} if code else composed


def _composed(request: Request, files: Sequence[OwnFile]) -> tuple[Config, Config]:
    """The config without and with the typed values, checked."""
    composition = Composition(request.picks, request.first, request.config_dirs)
    base = with_own(composition.plain(), request.own_facts)
    for group in ("model", "data", "transform", "encoding", "batching", "logger"):
        check_chosen(base[group], group, members(composition.chosen[group]), files)
    check_keys(request.values, base)
    composition.type(request.values)
    config = with_own(composition.plain(), request.own_facts)
    check_values(config, base, request.config_dirs)
    return base, config


def _variant(config: Config, usual: Mapping[str, Any]) -> str:
    """What the command line changes of a dataset, as `homophily=0.2`, and any transform of it."""
    data, transform = config["data"], config["transform"]["name"]
    names = {key for key in {**data, **usual} if data.get(key) != usual.get(key)} - {"fold"}
    changed = [f"{key}={data.get(key)}" for key in sorted(names)]
    return " ".join([*changed, *([] if transform == "none" else [f"transform={transform}"])])


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
    if is_floor(config["model"]):
        return config
    # of runs from before there was a choice, or by another name
    if "decay_only" in config["optim"]:
        config["optim"]["decay_prefix"] = config["optim"].pop("decay_only")
    usual = read_yaml(PACKAGED / "train.yaml")
    sections = {name: {**usual[name], **config[name]} for name in ("optim", "trainer")}
    nothing = {group: {"name": name} for group, name in NOTHING.items()}
    return {**nothing, **config, **sections}
