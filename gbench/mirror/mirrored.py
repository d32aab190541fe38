"""A logger beside the CSV file that is told a run's settings, its epochs and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only


class Mirror(Logger):  # type: ignore[misc]
    """Besides Lightning's own calls, one before the training and one after the test."""

    def begin(self, settings: Mapping[str, Any]) -> None:
        """The run begins, or goes on."""

    def end(self, figures: Mapping[str, float], step: int, failed: bool) -> None:
        """The run ended; `figures` are what was tested, at this step. None of a run that failed."""


class TensorBoardMirror(TensorBoardLogger, Mirror):  # type: ignore[misc]
    """TensorBoard's event file in the run's folder, its HPARAMS tab included."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="", version="tensorboard", default_hp_metric=False)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def begin(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self.log_hyperparams(self.settings)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def end(self, figures: Mapping[str, float], step: int, failed: bool) -> None:
        if figures:  # a row of the HPARAMS tab has its metrics from the start
            self.log_hyperparams(self.settings, metrics=dict(figures), step=step)
        self.finalize("failed" if failed else "success")
