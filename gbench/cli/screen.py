"""What verbs share about the screen: how wide it is, and a question to who sits before it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from gbench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_OF_A_FILE = 120  # letters


def screen() -> Console:
    """Where tables are printed: stdout, as wide as the terminal, COLUMNS, or else 120 letters."""
    from rich.console import Console

    known = sys.stdout.isatty() or os.environ.get("COLUMNS")
    return Console(highlight=False, width=None if known else _WIDTH_OF_A_FILE)


def agreed(question: str) -> bool:
    """Whether the user says yes; a job that nobody watches must say so on its command line."""
    if not sys.stdin.isatty():
        raise UserError(f"{question} Add --yes: there is nobody to ask here")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
