"""A run's curve as TensorBoard's event file in its folder, the HPARAMS tab included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

from gbench.config.flat import flatten
from gbench.mirror.mirrored import Mirror, Settings, tested


class TensorBoardMirror(Mirror):
    """One event file per attempt, in `tensorboard/`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.file: TensorBoardLogger | None = None

    def begin(self, settings: Settings) -> None:
        self.settings = dict(flatten(settings))

    def go_on(self, curve: Sequence[Mapping[str, float]], columns: Sequence[str]) -> None:
        """What an earlier attempt told of later epochs is no more shown: they are trained anew."""
        self.file = TensorBoardLogger(
            self.folder,
            name="",
            version="tensorboard",
            default_hp_metric=False,
            purge_step=len(curve),
        )
        self.file.log_hyperparams(self.settings)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        assert self.file is not None
        self.file.log_metrics(metrics, step)

    def end(self, figures: Mapping[str, Any], code: int) -> None:
        if self.file is None:  # no epoch began
            return
        if figures:  # a row of the HPARAMS tab has its metrics from the start
            metrics, step = tested(figures)
            self.file.log_hyperparams(self.settings, metrics=metrics, step=step)
        self.file.finalize("failed" if code else "success")
