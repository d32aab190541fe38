"""Where learning curves go besides the record: each logger is a function of (config, folder)."""

from __future__ import annotations

import netrc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lightning.pytorch.loggers import CSVLogger, Logger

from gbench.build import locate
from gbench.results.identity import identity
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
    return [CSVLogger(folder, name="", version="")]


def wandb(config: Mapping[str, Any], folder: Path) -> list[Logger]:
    """The CSV file, mirrored to Weights & Biases: one wandb run per run, the same when resumed.

    Offline unless the user is logged in; never asks for a login.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    from lightning.pytorch.loggers import WandbLogger

    options = config["logger"]
    group = f"{config['data']['name']}-{config['model']['name']}-{identity(config)}"
    logger = WandbLogger(
        name=folder.name,
        id=folder.name,
        resume="allow",
        project=options["project"],
        entity=options["entity"],
        group=group,
        job_type="train",
        tags=[config["model"]["name"], config["data"]["name"], *options["tags"]],
        config=dict(config),
        save_dir=folder,
        mode="online" if _logged_in() else "offline",
    )
    return [*csv(config, folder), logger]


def _logged_in() -> bool:
    """Whether wandb would find an API key: in the environment or in the user's netrc.

    wandb's own question for it asks its server, or the user.
    """
    mode = os.environ.get("WANDB_MODE")
    if mode is not None:
        return mode == "online"
    if os.environ.get("WANDB_API_KEY"):
        return True
    import wandb

    file = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    host = urlsplit(wandb.Settings().base_url).hostname
    try:
        return netrc.netrc(file).authenticators(host or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


@contextmanager
def finished() -> Iterator[dict[str, Any]]:
    """End the wandb run, if there is one, with the summary that the block fills and its state."""
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
