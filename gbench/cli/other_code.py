"""What `gbench train` and `gbench sweep` say of runs that are there, with other code."""

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
