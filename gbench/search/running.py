"""A trial on its way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.config.compose import Config
from gbench.search.space import Value

if TYPE_CHECKING:
    import optuna


@dataclass
class Running:
    """A trial on its way."""

    trial: optuna.Trial
    values: dict[str, Value]
    config: Config
    folder: Path
    attempts: int = 0
    epoch: float = 0
    of: int = 0  # epochs
    given_up: bool = False
    again_at: float | None = None  # monotonic: it waits to be started again
