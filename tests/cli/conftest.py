"""The installed `gbench` command, as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

GBENCH = Path(sys.executable).parent / "gbench"
Answer = subprocess.CompletedProcess[str]
Command = Callable[..., Answer]


@pytest.fixture(scope="session")
def gbench() -> Command:
    """Run `gbench WORDS` in a folder; stdout, stderr and exit code are on the answer."""
    assert GBENCH.exists(), f"{GBENCH} is not there: pip install -e . first"

    def run(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> Answer:
        return subprocess.run(
            [GBENCH, *words],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture(scope="session")
def trained(gbench: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """A folder in which one short run has finished, and what the command said."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, gbench("train", *SHORT, "--json", cwd=folder)


SHORT = ("model=gcn", "data=csbm", "trainer.max_epochs=3", "trainer.select=best")
