"""Fixtures that every test may use. No test touches the user's own folders."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

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
