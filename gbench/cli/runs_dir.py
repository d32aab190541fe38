"""The runs folder, said alike to every verb: `runs_dir=DIR` or `--runs DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

OPTIONS = ("--runs", "--runs-dir")
SETTING = "runs_dir="


def add_runs(parser: argparse.ArgumentParser) -> None:
    """For verbs that read runs: `args.runs_dir`, where names of runs are looked for."""
    parser.add_argument(
        *OPTIONS,
        dest="runs_dir",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="the folder of runs (default: runs); or runs_dir=DIR",
    )


def add_runs_setting(parser: argparse.ArgumentParser) -> None:
    """For verbs that compose settings, of which runs_dir is one: `args.runs`."""
    parser.add_argument(*OPTIONS, dest="runs", metavar="DIR", help="the same as runs_dir=DIR")


def plain(value: str) -> str:
    """A value without the quotes that a setting may need."""
    quote = value[:1]
    if quote not in ("'", '"') or len(value) < 2 or value[-1] != quote:
        return value
    return value[1:-1].replace(f"\\{quote}", quote).replace("\\\\", "\\")


def read_alike(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words, whichever way they name the runs folder."""
    if parser.get_default("runs_dir") is not None:
        words = [
            f"{OPTIONS[0]}={plain(word.removeprefix(SETTING))}"
            if word.startswith(SETTING)
            else word
            for word in words
        ]
    args = parser.parse_intermixed_args(list(words))
    if getattr(args, "runs", None) is not None:
        quoted = args.runs.replace("\\", "\\\\").replace("'", "\\'")
        given = args.overrides if hasattr(args, "overrides") else args.words
        given.append(f"{SETTING}'{quoted}'")
    return args
