"""Where learning curves go besides the record: each logger is a function of (config, folder)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from gbench.config.checks import flatten
from gbench.config.identity import identity
from gbench.config.names import WANDB_NAME, shortened, wandb_id, wandb_tags
from gbench.environment import helps_another_process
from gbench.errors import UserError
from gbench.locate import locate
from gbench.mirror.account import logged_in
from gbench.mirror.mirrored import Mirror
from gbench.mirror.mlflow_address import tracking_uri
from gbench.train.curve_file import CurveFile
from gbench.train.interrupt import Interrupted


def make_loggers(config: Mapping[str, Any], folder: Path) -> list[Logger]:
    """The loggers of the config's `logger` choice."""
    loggers: list[Logger] = locate(config["logger"]["_target_"])(config, folder)
    return loggers


def none(config: Mapping[str, Any], folder: Path) -> list[Logger]:
    """Nothing but the record."""
    return []


def csv(config: Mapping[str, Any], folder: Path) -> list[Logger]:
    """`metrics.csv`: one row per epoch."""
    return [CurveFile(folder / "metrics.csv")]


def wandb(config: Mapping[str, Any], folder: Path) -> list[Logger]:
    """The CSV file, mirrored to Weights & Biases: one wandb run per run, the same when resumed.

    Offline unless the user is logged in; never asks for a login.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    from lightning.pytorch.loggers import WandbLogger

    options = config["logger"]
    about = f"{config['data']['name']}-{config['model']['name']}"
    logger = WandbLogger(
        name=wandb_id(folder.name),
        id=wandb_id(folder.name),
        resume="allow",
        project=options["project"],
        entity=options["entity"],
        group=shortened(about, WANDB_NAME, end=f"-{identity(config)}"),
        job_type="train",
        tags=wandb_tags(config),
        config=dict(config),
        save_dir=folder,
        mode="online" if logged_in() else "offline",
    )
    # Lightning passes anonymous=None on, of which wandb 0.31 warns whatever it is.
    getattr(logger, "_wandb_init", {}).pop("anonymous", None)
    return [*csv(config, folder), logger]


def tensorboard(config: Mapping[str, Any], folder: Path) -> list[Logger]:
    """The CSV file, mirrored to `tensorboard/` in the run's folder."""
    _need("tensorboard", "tensorboard")
    from gbench.mirror.mirrored import TensorBoardMirror

    return [*csv(config, folder), TensorBoardMirror(folder)]


def mlflow(config: Mapping[str, Any], folder: Path) -> list[Logger]:
    """The CSV file, mirrored to MLflow: one MLflow run per run, the same when resumed.

    Raises UserError if MLflow does not answer.
    """
    _need("mlflow", "mlflow-skinny")
    if helps_another_process():
        return csv(config, folder)
    # MLflow 3.17 refuses folders unless asked; without a server mlflow-skinny has nothing else
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    from gbench.mirror.mlflow import MlflowMirror

    uri, experiment = tracking_uri(config, folder.parent), config["logger"]["experiment"]
    tags = {"model": config["model"]["name"], "data": config["data"]["name"]}
    return [*csv(config, folder), MlflowMirror(uri, experiment, folder.name, tags)]


def _need(module: str, package: str) -> None:
    if find_spec(module) is None:
        raise UserError(f"logger={module} needs the package {package}: pip install {package}")


@contextmanager
def mirrored(loggers: Sequence[Logger], config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Tell the loggers the settings, what the block puts into the summary, and how it ended."""
    mirrors = [logger for logger in loggers if isinstance(logger, Mirror)]
    for mirror in mirrors:
        mirror.begin(dict(flatten(config)))
    summary: dict[str, Any] = {}
    exit_code = 1
    try:
        yield summary
        exit_code = 0
    except Interrupted as interrupted:
        exit_code = interrupted.exit_code
        raise
    finally:
        run = sys.modules["wandb"].run if "wandb" in sys.modules else None
        if run is not None:
            run.summary.update(summary)
            run.finish(exit_code=exit_code)
        figures = {f"tested/{part}": summary[part] for part in ("valid", "test") if part in summary}
        if figures:
            figures["best_epoch"] = float(summary["best_epoch"])
        for mirror in mirrors:
            step = int(figures.get("best_epoch", 1)) - 1  # as the epochs' rows are counted
            mirror.end(figures, step, failed=exit_code != 0)
