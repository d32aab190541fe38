"""What a logger beside the CSV file is told: a run's settings, its epochs and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.loggers import Logger

from gbench.config.flat import flatten

Settings = Mapping[str, Any]


class Mirror(Logger):  # type: ignore[misc]
    """A logger of gbench's: besides `log_metrics(metrics, step)` it is told begin and end.

    Only the process that keeps the record is told anything. `log_metrics` is called after each
    epoch with its row of the curve; `step` counts from 0.
    """

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: `begin` is told the settings."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Nothing, unless a logger keeps the curve."""

    def begin(self, settings: Settings) -> None:
        """The run begins, or goes on; `settings` is its config."""

    def go_on(self, curve: Sequence[Mapping[str, float]], columns: Sequence[str]) -> None:
        """The epochs begin: after the rows of `curve`, where the run was interrupted.

        `columns` are those that a row may have and the first one may not.
        """

    def end(self, figures: Mapping[str, Any], code: int) -> None:
        """The run ended with this exit code.

        Of one that has finished `figures` has `valid`, `test`, `valid_NAME` and `test_NAME` of each
        metric of trainer.also, `best_epoch` (counted from 1) and `record`, all of the record as
        JSON; of another it is empty.
        """


class Told(Mirror):
    """A logger that knows Lightning's own calls only is told the same by these."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self.logger = logger

    def begin(self, settings: Settings) -> None:
        self.logger.log_hyperparams(dict(flatten(settings)))

    def end(self, figures: Mapping[str, Any], code: int) -> None:
        if figures:
            self.logger.log_metrics(*tested(figures))
        self.logger.finalize("failed" if code else "success")


def tested(figures: Mapping[str, Any]) -> tuple[dict[str, float], int]:
    """What was tested as metrics beside the curve's, and the step of the epoch that it is of."""
    told = {key: value for key, value in figures.items() if key not in ("best_epoch", "record")}
    metrics = {f"tested/{key}": float(value) for key, value in told.items()}
    best = figures["best_epoch"]
    return {**metrics, "best_epoch": float(best)}, best - 1
