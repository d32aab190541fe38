"""Which jobs may be done one after another by the same process.

They execute gbench's own code alone, of which it is known what it leaves behind (surroundings.py
sets that back). A process of its own, forked for it, gets a run

* with code of the user's own: a model, a loader, a metric, anything that a setting names
* with a logger that keeps state of its own: wandb, mlflow, tensorboard
* with a teacher, or that begins from another run's weights: that run may have had such code
* on several devices, which Lightning starts by itself, and without a network, where other packages
  train

Those that may share do so where they have the same model class and the same data, apart from the
fold: what the first of them has read and derived then serves the others.
"""

from __future__ import annotations

import json

from gbench.config.compose import Config
from gbench.config.floors import is_floor
from gbench.metrics import is_dotted
from gbench.own_code.stated import has_own_code

PLAIN_LOGGERS = ("gbench.train.loggers.csv", "gbench.train.loggers.none")
# what neither data nor what is derived from them depends on
_OF_A_RUN = ("seed", "optim", "trainer", "experiment", "logger", "runs_dir", "trials")


def kind(config: Config) -> str:
    """Jobs of one kind may share a process; "" is said of one that has its own."""
    trainer = config["trainer"]
    is_alone = (
        "code" in config
        or has_own_code(config)
        or any(map(is_dotted, trainer.get("also", ())))
        or config["logger"]["_target_"] not in PLAIN_LOGGERS
        or bool(config.get("runs"))
        or is_floor(config["model"])
        or trainer.get("devices", 1) not in (1, "auto")
    )
    if is_alone:
        return ""
    return json.dumps([config["model"]["_target_"], _without_fold(config)["data"]], sort_keys=True)


def derived_from(config: Config) -> str:
    """All that decides what a run derives from its data."""
    kept = {key: value for key, value in _without_fold(config).items() if key not in _OF_A_RUN}
    return json.dumps(kept, sort_keys=True, default=str)


def _without_fold(config: Config) -> Config:
    return {**config, "data": {k: v for k, v in config["data"].items() if k != "fold"}}
