"""From a config to the things that train: dataset, model and task."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import seed_everything
from torch import nn

from gbench import folders
from gbench.config import Config
from gbench.data.load import load
from gbench.data.spec import DataCard, DataSpec
from gbench.errors import UserError, unknown
from gbench.train.task import Task

NOT_HYPERPARAMETERS = ("name", "_target_", "levels")


def build_task(config: Config) -> Task:
    """The dataset, loaded; the model, initialised from the seed; both in one task."""
    card = DataCard.from_config(config["data"])
    dataset = load(
        card, folders.data_dir(config["data_dir"]), folders.cache_dir(config["cache_dir"])
    )
    seed_everything(config["seed"], verbose=False)
    model = build_model(config["model"], dataset.spec)
    limit = config["trainer"]["limit_batches"]
    return Task(model, dataset, config["optim"], seed=config["seed"], limit=limit)


def build_model(settings: Mapping[str, Any], spec: DataSpec) -> nn.Module:
    """`_target_(spec, **hyperparameters)`, each hyperparameter checked to be one of its own."""
    target = locate(settings["_target_"])
    hyperparameters = {k: v for k, v in settings.items() if k not in NOT_HYPERPARAMETERS}
    legal = inspect.signature(target).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in legal.values()):
        for name in hyperparameters:
            if name not in legal:
                raise unknown(f"setting of model {settings['name']}", name, [*legal][1:])
        for name, parameter in [*legal.items()][1:]:
            if parameter.default is parameter.empty and name not in hyperparameters:
                raise UserError(f"model {settings['name']} needs model.{name}: its YAML has none")
    model: nn.Module = target(spec, **hyperparameters)
    return model


def locate(dotted: str) -> Any:
    """The class or function that a `_target_` names."""
    module_name, _, name = str(dotted).rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"_target_: {dotted} cannot be imported ({error}). "
            "A class of your own lies in the folder given by --config-dir, as file.Class"
        ) from error
