"""What `gbench train` and `gbench sweep` say before they begin: of other code, of equal seeds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gbench.config.compose import Config

SHOWN_RUNS = 3


def tell_other_code(configs: Iterable[Config]) -> None:
    """Say which runs of these settings are there already, with other code of the user's own."""
    from rich.console import Console

    from gbench.records.other_code import runs_of_other_code

    console = Console(stderr=True, highlight=False)
    said = [text for c in configs for text in runs_of_other_code(c, Path(c["runs_dir"]))]
    for text in said[:SHOWN_RUNS]:
        console.print(text, style="yellow", soft_wrap=True, markup=False)
    if len(said) > SHOWN_RUNS:
        console.print(f"… and {len(said) - SHOWN_RUNS} more of other code", style="yellow")


def tell_equal_seeds(configs: Iterable[Config]) -> None:
    """Say which methods without a network are asked for several seeds, and draw nothing."""
    from rich.console import Console

    from gbench.config.floors import is_floor
    from gbench.locate import locate

    seeds: dict[str, set[int]] = {}
    targets: dict[str, str] = {}
    for config in configs:
        if is_floor(config["model"]):
            seeds.setdefault(config["model"]["name"], set()).add(config["seed"])
            targets[config["model"]["name"]] = config["model"]["_target_"]
    console = Console(stderr=True, highlight=False)
    for name, known in seeds.items():
        if len(known) > 1 and not getattr(locate(targets[name]), "draws", True):
            text = f"model={name} draws nothing: of a fold every seed gives the row of seed 0."
            console.print(text, style="yellow", soft_wrap=True, markup=False)
