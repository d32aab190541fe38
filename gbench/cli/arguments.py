"""Arguments that several verbs take, said alike to each: settings, one's own folder, the runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gbench.quotes import unquoted

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


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """For verbs that look into the user's own folders: `args.config_dir`."""
    parser.add_argument(
        "--config-dir",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="a folder of your own: model/ and data/ YAML files and the Python files they name",
    )


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """The arguments of every verb that composes a config."""
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as seed=3")
    add_runs_setting(parser)
    add_config_dir(parser)


def add_running(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verbs that train from settings."""
    add_overrides(parser)
    parser.add_argument("--force", action="store_true", help="run again although it has finished")
    parser.add_argument("--json", action="store_true", help="print the record to stdout")


def read_alike(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words, whichever way they name the runs folder."""
    if parser.get_default("runs_dir") is not None:
        words = [
            f"{OPTIONS[0]}={unquoted(word.removeprefix(SETTING))}"
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
