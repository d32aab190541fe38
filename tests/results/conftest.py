"""Hand-made records: a valid one, with what a test wants to be different."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gbench.results.published import Published
from gbench.results.record import RunRecord, write

CONFIG: dict[str, Any] = {
    "seed": 0,
    "runs_dir": "runs",
    "data_dir": None,
    "cache_dir": None,
    "model": {
        "_target_": "gbench.models.gcn.GCN",
        "levels": ["node", "graph"],
        "name": "gcn",
        "hidden_dim": 16,
        "num_layers": 2,
        "dropout": 0.5,
    },
    "data": {
        "_target_": "gbench.data.loaders.planetoid.load",
        "name": "cora",
        "level": "node",
        "loss": "cross-entropy",
        "metric": "accuracy",
        "direction": "max",
        "split": "public",
        "num_folds": 1,
        "fold": 0,
        "source": "https://example.org/planetoid",
        "licence": "unknown",
        "citation": "Yang et al., Revisiting semi-supervised learning, ICML 2016",
        "normalize_features": True,
        "folder": "planetoid",
        "statistics": {"nodes": 2708, "edges": 10556, "features": 1433, "classes": 7},
        "download": {"url": "https://example.org/planetoid", "files": {"ind.cora.x": "0" * 64}},
    },
    "optim": {"lr": 0.01, "weight_decay": 0.0005, "decay_only": ["conv1"], "batch_size": None},
    "trainer": {
        "max_epochs": 200,
        "patience": 10,
        "select": "best-validation",
        "accelerator": "auto",
        "devices": 1,
        "precision": "32-true",
        "enable_progress_bar": False,
    },
    "logger": "csv",
}


def _config(changes: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        key: dict(value) if isinstance(value, dict) else value for key, value in CONFIG.items()
    }
    for dotted, value in changes.items():
        section, _, key = dotted.partition(".")
        if key:
            config[section][key] = value
        else:
            config[section] = value
    return config


def _record(config: dict[str, Any] | None = None, **changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "run": "cora-gcn-00000000aa-s0",
        "identity": "00000000aa",
        "seed": 0,
        "fold": 0,
        "num_folds": 1,
        "data": "cora",
        "model": "gcn",
        "task": "node-classification",
        "split": "public",
        "selection": "best-validation",
        "metric": "accuracy",
        "direction": "max",
        "valid": 0.79,
        "test": 0.81,
        "best_epoch": 43,
        "epochs": 53,
        "num_parameters": 23063,
        "seconds_per_epoch": 0.0031,
        "seconds_total": 1.25,
        "items_per_second": 871000.0,
        "item": "nodes",
        "peak_memory_mib": 512.25,
        "device": "2 CPU cores",
        "versions": {"gbench": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
        "git": {"commit": "a" * 40, "dirty": False},
        "fingerprint": "f1" * 8,
        "started": "2026-03-04T10:00:00+00:00",
        "finished": "2026-03-04T10:00:02+00:00",
        "config": _config(config or {}),
    }
    return RunRecord(**(values | changes))


def _published(**changes: Any) -> Published:
    values: dict[str, Any] = {
        "model": "GCN",
        "data": "cora",
        "split": "public",
        "metric": "accuracy",
        "mean": 0.815,
        "std": 0.005,
        "is_population": False,
        "n": 100,
        "valid": None,
        "num_parameters": None,
        "selection": "",
        "source": "a paper, Table 2",
        "note": "",
        "experiment": "",
        "resolution": 0.001,
    }
    return Published(**(values | changes))


def _save(record: RunRecord, runs_dir: Path) -> Path:
    folder = runs_dir / record.run
    folder.mkdir(parents=True)
    return write(record, folder)


@pytest.fixture
def make_config() -> Callable[..., dict[str, Any]]:
    """`make_config({"model.hidden_dim": 64})`: a resolved config."""
    return _config


@pytest.fixture(scope="session")
def make_record() -> Callable[..., RunRecord]:
    """`make_record({"model.hidden_dim": 64}, seed=3)`: a record and changes of its config."""
    return _record


@pytest.fixture
def make_published() -> Callable[..., Published]:
    """`make_published(mean=0.83)`: what a paper prints, and what shall be different."""
    return _published


@pytest.fixture(scope="session")
def save() -> Callable[[RunRecord, Path], Path]:
    """Write a record into its own folder below a runs folder."""
    return _save
