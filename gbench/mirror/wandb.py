"""A run's curve, settings and record at Weights & Biases: online, or in files that wait for it.

Lightning's WandbLogger would pass `anonymous` on, of which wandb warns, and not end the run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from gbench.config.identity import identity
from gbench.config.names import WANDB_NAME, shortened, wandb_id, wandb_tags
from gbench.mirror.account import logged_in
from gbench.mirror.mirrored import Mirror, Settings

STEP = "trainer/global_step"  # the axis of the curves, as of Lightning's logger


class WandbMirror(Mirror):
    """One wandb run per run, the same when resumed."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def options(self, settings: Settings) -> dict[str, Any]:
        """What `wandb.init` is asked for."""
        about = f"{settings['data']['name']}-{settings['model']['name']}"
        return {
            "name": wandb_id(self.folder.name),
            "id": wandb_id(self.folder.name),
            "resume": "allow",
            "project": settings["logger"]["project"],
            "entity": settings["logger"]["entity"],
            "group": shortened(about, WANDB_NAME, end=f"-{identity(settings)}"),
            "job_type": "train",
            "tags": wandb_tags(settings),
            "config": dict(settings),
            "dir": str(self.folder),
            "mode": "online" if logged_in() else "offline",
        }

    def begin(self, settings: Settings) -> None:
        os.environ.setdefault("WANDB_SILENT", "true")
        self.run = wandb.init(**self.options(settings))
        self.run.define_metric(STEP)
        self.run.define_metric("*", step_metric=STEP, step_sync=True)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.run.log({**metrics, STEP: step})

    def end(self, figures: Mapping[str, Any], code: int) -> None:
        self.run.summary.update(dict(figures))
        self.run.finish(exit_code=code)
