"""Where learning curves go besides the record: each logger is a function of (config, folder).

It returns Lightning loggers, or one; a Mirror among them is told when the run begins and ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from gbench.errors import UserError
from gbench.locate import locate
from gbench.mirror.mirrored import Mirror, Told
from gbench.mirror.mlflow_address import tracking_uri
from gbench.processes import helps_another_process
from gbench.train.curve_file import CurveFile
from gbench.train.interrupt import Interrupted


def make_loggers(config: Mapping[str, Any], folder: Path) -> list[Logger]:
    """The loggers of the config's `logger` choice.

    Raises UserError where a function of the user's own returns anything else.
    """
    target = config["logger"]["_target_"]
    made: Any = locate(target)(config, folder)
    loggers = [made] if isinstance(made, Logger) else made
    if not isinstance(loggers, list | tuple) or not all(isinstance(o, Logger) for o in loggers):
        raise UserError(
            f"logger: {target} returned {made!r}, and has to return a logger of Lightning's, a "
            "gbench.mirror.mirrored.Mirror, or a list of them"
        )
    return [*loggers]


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
    from gbench.mirror.wandb import WandbMirror

    return [*csv(config, folder), WandbMirror(folder)]


def tensorboard(config: Mapping[str, Any], folder: Path) -> list[Logger]:
    """The CSV file, mirrored to `tensorboard/` in the run's folder."""
    _need("tensorboard", "tensorboard")
    from gbench.mirror.tensorboard import TensorBoardMirror

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
    """Tell the loggers the settings, what the block puts into the figures, and how it ended."""
    is_main = rank_zero_only.rank == 0
    mirrors = [log if isinstance(log, Mirror) else Told(log) for log in loggers if is_main]
    figures: dict[str, Any] = {}
    code = 1
    with ExitStack() as begun:  # each is told the end, whatever another one raises

        def end(mirror: Mirror) -> None:
            mirror.end(figures, code)

        for mirror in mirrors:
            mirror.begin(config)
            begun.callback(end, mirror)
        try:
            yield figures
            code = 0
        except Interrupted as interrupted:
            code = interrupted.exit_code
            raise
