"""Floors in a config: methods that are no network, and the settings that say nothing to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gbench.choices import PACKAGED, choices, read_yaml, stated
from gbench.config.flat import flatten
from gbench.errors import UserError

Config = Mapping[str, Any]

SECTIONS = ("optim", "predictor", "encoding", "batching", "trainer")  # what networks read
_READ = ("trainer.also",)
# what a floor does anyway, and may be told
_DONE = {"trainer.accelerator": ("auto", "cpu"), "trainer.devices": (1, "auto")}
_TRAINER = {"select": "best", "accelerator": "cpu", "devices": 1}


def is_floor(model: Mapping[str, Any]) -> bool:
    """Whether a model's YAML says `is_network: false`: its class is a gbench.floors.floor.Floor."""
    return isinstance(model, Mapping) and model.get("is_network") is False


def floors(config_dirs: Sequence[Path] = ()) -> dict[str, Path]:
    """The models that are no networks, by name."""
    found = choices("model", config_dirs)
    return {k: v for k, v in found.items() if stated("model.is_network", found, k) is False}


def networks(config_dirs: Sequence[Path] = ()) -> dict[str, Path]:
    """The models that are networks, by name."""
    found, others = choices("model", config_dirs), floors(config_dirs)
    return {name: path for name, path in found.items() if name not in others}


def check_level(model: Config, data: Config, config_dirs: Sequence[Path]) -> None:
    """Raise UserError for a floor on data of a level that it cannot do, with those that can."""
    if data["level"] in model["levels"]:
        return
    found = floors(config_dirs)
    fit = [name for name in found if data["level"] in stated("model.levels", found, name)]
    raise UserError(
        f"{model['name']} works on {' and '.join(model['levels'])}-level datasets, and "
        f"{data['name']} is {data['level']}-level: methods without a network that fit are "
        f"{', '.join(fit)}"
    )


def without_network(config: Config, typed: Sequence[str]) -> dict[str, Any]:
    """The config of a floor: without what only a network reads.

    `typed` are the dotted names of the settings that were given a value. Raises UserError where
    they, or a file, set what a floor does not read.
    """
    usual = dict(flatten(read_yaml(PACKAGED / "train.yaml")))
    usual |= {"encoding.name": "none", "batching.name": "full"}
    for key, value in flatten({n: config[n] for n in (*SECTIONS, "init_from") if n in config}):
        if key in _READ or value in _DONE.get(key, ()):
            continue
        if key in typed or any(word.startswith(f"{key}.") for word in typed):
            raise _unread(key, value, config)
        if value != usual.get(key, None):
            raise _unread(key.removesuffix(".name"), value, config)
    kept = {key: value for key, value in config.items() if key not in SECTIONS}
    return {**kept, "trainer": {"also": config["trainer"]["also"], **_TRAINER}}


def _unread(key: str, value: object, config: Config) -> UserError:
    return UserError(
        f"{key}={value}: model={config['model']['name']} is no network and does not read it: it "
        "runs on the CPU, and validation alone chooses its settings. Leave it out"
    )
