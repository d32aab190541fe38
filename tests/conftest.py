"""Fixtures that every test may use. No test touches the user's own folders."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gbench.board.published import Published
from gbench.records.record import RunRecord, write

IS_BARE = find_spec("hydra") is None  # a checkout that is not installed

try:
    import hypothesis
except ModuleNotFoundError:  # on a bare machine with a GPU, where none of its tests is collected
    pass
else:
    hypothesis.settings.register_profile(
        "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("unhurried")


KERNELS = Path(__file__).with_name("kernels")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With -m gpu files without such a test are not imported: they may need what is not there.

    In a checkout that is not installed only the kernels' tests are.
    """
    if config.option.markexpr != "gpu":
        return None
    if collection_path.is_dir():
        return (
            True
            if IS_BARE
            and not KERNELS.is_relative_to(collection_path)
            and (not collection_path.is_relative_to(KERNELS))
            else None
        )
    return None if "mark.gpu" in collection_path.read_text() else True


def pytest_configure(config: pytest.Config) -> None:
    """Files are handed to xdist's workers in the order below, and not the longest list first."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first, so that at the end no worker waits for another."""
    items.sort(key=lambda item: item.get_closest_marker("minutes") is None)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How many of the tests that need a GPU ran, and why others did not."""
    reports = [
        (outcome, report)
        for outcome in ("passed", "failed", "skipped")
        for report in terminalreporter.getreports(outcome)
        if "gpu" in report.keywords and (report.when == "call" or outcome == "skipped")
    ]
    if not reports:
        return
    ran = sum(outcome != "skipped" for outcome, _ in reports)
    why = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for outcome, report in reports
        if outcome == "skipped" and isinstance(report.longrepr, tuple)
    )
    terminalreporter.write_sep("-", "tests that need a GPU")
    terminalreporter.write_line(f"{ran} of {len(reports)} ran")
    if IS_BARE and config.option.markexpr == "gpu":
        terminalreporter.write_line("trainings are not among them: hydra is not installed")
    for reason, count in why.items():
        terminalreporter.write_line(f"{count} did not: {reason}")


HELD = """
import os, time
from pathlib import Path
from gbench.models.gcn import GCN
from gbench.train import loader


class Held(GCN):
    def __init__(self, *args, steps, **settings):
        super().__init__(*args, **settings)
        self.steps = steps
        loader.ROUND_SECONDS = 0.0  # a checkpoint after every epoch

    def forward(self, batch):
        folder, self.steps = Path(__file__).parent, self.steps - self.training
        if self.steps < 0 and not (folder / "go").exists():
            (folder / f"held-{os.getpid()}").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
        return super().forward(batch)
"""


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real datasets, from GBENCH_DATA; the test skips without one."""
    folder = REAL_DATA
    if folder is None or not folder.is_dir():
        reason = "needs the real datasets: set GBENCH_DATA to their folder"
        if os.environ.get("GBENCH_REQUIRE_DATA"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def companions() -> None:
    """Real Slurm and MLflow servers: they take minutes, and Slurm needs root."""
    if not os.environ.get("GBENCH_COMPANIONS"):
        pytest.skip("starts a real server: make test-companions")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Derived files of this session, so that each dataset is prepared once."""
    return Path(os.environ["GBENCH_CACHE"])


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """`wait_until(condition, *processes)`: however slow the machine, while the processes live."""

    def wait(happened: Callable[[], object], *processes: subprocess.Popen[str]) -> None:
        while not happened():
            for process in processes:
                assert process.poll() is None or happened(), "a process ended before it happened"
            time.sleep(0.01)

    return wait


@pytest.fixture
def made_up_teacher() -> Callable[[dict[str, Any]], Any]:
    """What a teacher of this config's data might say; None where the model needs none."""

    def taught(config: dict[str, Any]) -> Any:
        from gbench.build import build_task
        from gbench.data.taught import Other, Taught
        from gbench.locate import locate

        if "teacher" not in getattr(locate(config["model"]["_target_"]), "needs", ()):
            return None
        import torch

        from gbench.config.compose import compose

        mlp = compose(["model=mlp", "data=csbm", "experiment=null"])["model"]
        dataset = build_task({**config, "model": mlp}).dataset
        card, train = dataset.card, dataset.split.train
        items = len(dataset.store.y)
        other = Other(
            "made up", card.title, card.split, card.fold, dataset.fingerprint, items, train
        )
        answers = torch.randn(items, dataset.spec.num_outputs).log_softmax(1)
        return Taught(other, answers)

    return taught


@pytest.fixture
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A --config-dir whose model=held is a GCN that stops before a step until `go` is there.

    While it waits, `held-PID` is there. `model.steps`, 3, says how many steps it does before.
    """
    folder = tmp_path_factory.mktemp("held")
    (folder / "model").mkdir()
    (folder / "held.py").write_text(HELD)
    text = "# @package _global_\ndefaults: [gcn]\nmodel: {_target_: held.Held, steps: 3}\n"
    (folder / "model" / "held.yaml").write_text(text)
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Caches and home of this session; child processes inherit them."""
    root = tmp_path_factory.mktemp("session")
    os.environ["GBENCH_CACHE"] = str(root / "derived")
    os.environ["XDG_CACHE_HOME"] = str(root / "cache")
    os.environ.pop("GBENCH_DATA", None)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell leaves it in the background:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # no child would hear Ctrl-C


REAL_DATA = Path(os.environ["GBENCH_DATA"]).resolve() if os.environ.get("GBENCH_DATA") else None


# Hand-made records: a valid one, with what a test wants to be different.
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
