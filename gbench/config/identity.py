"""What makes two runs "the same setting": a hash of all that can move a result.

That is the config, and of the user's own the code that it executes and the files that it names, by
content: see gbench/own_code/stated.py. gbench's own version stands in the record.

Seed and fold are left out, so that the runs to be averaged share one identity. So are folders, the
logger, what a dataset's card says for the reader only, and what a trainer prints. Everything else
counts, options that only sometimes matter (accelerator, devices, precision, matmul) included: a
needless second row can be seen and explained, two settings averaged into one row cannot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gbench.config.names import FOLDER_BYTES, num_bytes, shortened
from gbench.named_runs import counted
from gbench.own_code.stated import with_digests

_SECTIONS = ("model", "data", "transform", "encoding", "batching", "optim", "predictor", "trainer")
# what says nothing, so that runs keep their identity when gbench learns to do more
NOTHING = {"transform": "none", "encoding": "none", "batching": "full"}
# what came after runs without it, as it was for them
BEFORE: dict[str, dict[str, Any]] = {
    "optim": {
        "options": {},
        "groups": [],
        "schedule_options": {},
        "warmup_epochs": 0,
        "warmup_steps": 0,
        "plateau_on": "loss",
    },
    "trainer": {"matmul": "highest"},
}
_WITHOUT_EFFECT = {
    "model": {"levels"},  # a check before the run
    "data": {
        "fold",
        "folder",
        "source",
        "licence",
        "citation",
        "download",
        "otherwise",
        "statistics",
        "splits",
    },
    "batching": {"workers"},
    "optim": set[str](),
    "trainer": {
        "also",  # what is told beside the metric
        "cuda_graphs",  # how steps are launched
        "default_root_dir",
        "enable_model_summary",
        "enable_progress_bar",
        "log_every_n_steps",
        "profiler",
    },
}

HARDWARE = {"accelerator", "devices", "strategy", "precision", "matmul", "deterministic"}


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that can move a result: what `identity` hashes.

    Whole floats become integers, so that `dropout=0` and `dropout=0.0` are one setting.
    """
    kept: dict[str, Any] = {}
    for name in _SECTIONS:
        if name not in config:  # only link-level runs have a predictor
            continue
        section = config[name]
        if isinstance(section, dict):
            if section.get("name") == NOTHING.get(name, ()) and "_target_" not in section:
                continue
            dropped, before = _WITHOUT_EFFECT.get(name, set()), BEFORE.get(name, {})
            section = {
                key: value
                for key, value in section.items()
                if key not in dropped and not (key in before and value == before[key])
            }
        kept[name] = _canonical(section)
    for key, facts in counted(config).items():
        if key == "model.teacher":
            kept["model"]["teacher"] = facts
        else:
            kept[key] = facts
    code = config.get("code", {})
    kept = with_digests(kept, code.get("files", {}))
    if stated := {part: code[part] for part in ("sources", "packages") if part in code}:
        kept["code"] = _hash(stated)
    return kept


def identity(config: Mapping[str, Any]) -> str:
    """Ten hex digits of the SHA-256 of the decisive config, whatever the order of its keys."""
    return _hash(decisive(config))


def same_setting(config: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two configs tell one setting, on whatever hardware and in whatever precision."""
    one, another = decisive(config), decisive(other)
    if "predictor" not in one:  # only link-level runs keep it
        another.pop("predictor", None)
    for settings in (one, another):
        settings["trainer"] = {k: v for k, v in settings["trainer"].items() if k not in HARDWARE}
    return one == another


def on_hardware(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of dotted settings those that say what a run computes on, and how precisely."""
    names = {f"trainer.{name}" for name in HARDWARE}
    return {key: value for key, value in settings.items() if key in names}


def run_name(config: Mapping[str, Any]) -> str:
    """The run's folder: `cora-gcn-1a2b3c4d5e-s3`, with `-f4` where the dataset has folds.

    Long names of data and model are shortened: see gbench/config/names.py.
    """
    data = config["data"]
    fold = f"-f{data['fold']}" if data["num_folds"] > 1 else ""
    end = f"-{identity(config)}-s{config['seed']}{fold}"
    return shortened(f"{data['name']}-{config['model']['name']}", FOLDER_BYTES, num_bytes, end)


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(inner) for inner in value]
    return value
