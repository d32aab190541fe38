"""What makes two runs "the same setting": a hash of all of the config that can move a result.

Seed and fold are left out, so that the runs to be averaged share one identity. So are folders, the
logger, what a dataset's card says for the reader only, and what a trainer prints. Everything else
counts, options that only sometimes matter (accelerator, devices, precision) included: a needless
second row can be seen and explained, two settings averaged into one row cannot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_SECTIONS = ("model", "data", "optim", "trainer")
_WITHOUT_EFFECT = {
    "model": {"levels"},  # a check before the run
    "data": {
        "fold",
        "folder",
        "source",
        "licence",
        "citation",
        "download",
        "statistics",
        "splits",
    },
    "optim": set[str](),
    "trainer": {
        "default_root_dir",
        "enable_model_summary",
        "enable_progress_bar",
        "log_every_n_steps",
        "profiler",
    },
}


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that can move a result: what `identity` hashes.

    Whole floats become integers, so that `dropout=0` and `dropout=0.0` are one setting.
    """
    kept: dict[str, Any] = {}
    for name in _SECTIONS:
        section = config.get(name)
        if isinstance(section, dict):
            dropped = _WITHOUT_EFFECT[name]
            section = {key: value for key, value in section.items() if key not in dropped}
        kept[name] = _canonical(section)
    return kept


def identity(config: Mapping[str, Any]) -> str:
    """Ten hex digits of the SHA-256 of the decisive config, whatever the order of its keys."""
    text = json.dumps(decisive(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def run_name(config: Mapping[str, Any]) -> str:
    """The run's folder: `cora-gcn-1a2b3c4d5e-s3`, with `-f4` where the dataset has folds."""
    data = config["data"]
    fold = f"-f{data['fold']}" if data["num_folds"] > 1 else ""
    return f"{data['name']}-{config['model']['name']}-{identity(config)}-s{config['seed']}{fold}"


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(inner) for inner in value]
    return value
