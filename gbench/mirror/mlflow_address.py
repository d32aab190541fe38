"""Where a run's MLflow is, and whether anybody listens there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gbench.errors import UserError

KNOCK_SECONDS = 5


def tracking_uri(config: Mapping[str, Any], runs_dir: Path) -> str:
    """The config's, else $MLFLOW_TRACKING_URI, else the folder mlruns/ beside the runs."""
    local = (runs_dir / "mlruns").absolute().as_uri()
    named = config["logger"]["tracking_uri"] or os.environ.get("MLFLOW_TRACKING_URI")
    return str(named or local)


def check_servers(configs: Iterable[Mapping[str, Any]]) -> None:
    """Raise UserError if nobody listens where these runs are to be mirrored to."""
    mirrored = [c for c in configs if c["logger"]["_target_"].endswith(".mlflow")]
    for uri in dict.fromkeys(tracking_uri(c, Path(c["runs_dir"])) for c in mirrored):
        knock(uri)


def knock(uri: str) -> None:
    """Raise UserError if nobody listens there: MLflow itself would try for minutes."""
    place = urlsplit(uri)
    behind_proxy = any(name.lower() == f"{place.scheme}_proxy" for name in os.environ)
    if place.scheme not in ("http", "https") or not place.hostname or behind_proxy:
        return
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname, port), timeout=KNOCK_SECONDS).close()
    except (OSError, ValueError) as error:
        raise refusal(uri, error) from error


def refusal(uri: str, error: Exception) -> UserError:
    """What to say and to do where there is no MLflow."""
    sentence = next(iter(str(error).splitlines()), "") or type(error).__name__
    if "timed out" in str(error):
        sentence = "it takes too long"
    return UserError(
        f"MLflow does not answer at {uri}: {sentence[:200]}. Start it (mlflow server), name "
        "another with logger.tracking_uri=URI, or take logger=csv"
    )
