"""Small real runs, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from gbench.config.compose import compose
from gbench.config.identity import run_name
from gbench.locate import locate
from gbench.quiet import silence
from gbench.records.record import RunRecord
from gbench.training import train

Run = Callable[..., tuple[RunRecord, Path]]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    silence()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Train with these overrides below this test's folder; the record and the run's folder."""

    def start(
        *overrides: str, dirs: Sequence[Path] = (), **replaced: Any
    ) -> tuple[RunRecord, Path]:
        config = compose([f"runs_dir={tmp_path / 'runs'}", "trainer=cpu", *overrides], dirs)
        for section, values in replaced.items():
            config[section].update(values)
        kind = locate(config["model"]["_target_"])
        is_packaged = config["model"]["_target_"].startswith("gbench.")
        if is_packaged and "teacher" in getattr(kind, "needs", ()) and "runs" not in config:
            others = [word for word in overrides if word.split(".")[0] == "data"]
            data = [f"data={config['data']['name']}", f"seed={config['seed']}"]
            short = ["model=mlp", "experiment=null", "trainer.max_epochs=1"]
            teacher, _ = start(*short, *data, *others)
            return start(*overrides, f"model.teacher=run:{teacher.run}", dirs=dirs, **replaced)
        folder = Path(config["runs_dir"]) / run_name(config)
        record = train(config, folder, Console(quiet=True))
        assert record is not None
        return record, folder

    return start
