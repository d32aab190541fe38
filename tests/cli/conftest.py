"""The `gbench` command: as a process, and within this one, where a start says nothing new."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from gbench.cli.main import main

GBENCH = Path(sys.executable).parent / "gbench"
Answer = subprocess.CompletedProcess[str]
Command = Callable[..., Answer]


@pytest.fixture
def gbench(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `gbench WORDS` in a folder; stdout, stderr and exit code are on the answer."""

    def run(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(cwd)
            patch.setattr(sys, "stdin", io.StringIO())
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            try:
                code = main([*words])
            except SystemExit as ended:  # argparse's
                code = ended.code
        return Answer(words, code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def process() -> Command:
    """The same, as the process that a shell would start."""
    assert GBENCH.exists(), f"{GBENCH} is not there: pip install -e . first"

    def run(*words: str, cwd: Path) -> Answer:
        return subprocess.run(
            [GBENCH, *words],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture(scope="session")
def trained(process: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """A folder in which one short run has finished, and what the command said."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, process("train", *SHORT, "--json", cwd=folder)


SHORT = ("model=gcn", "data=csbm", "trainer.max_epochs=3", "trainer.select=best")
