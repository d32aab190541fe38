"""Train all points of a sweep that a YAML file describes; the same command goes on with it.

A line of FILE is a setting as `gbench train` takes it, with a list for several values:

  model: [gcn, sgc]
  data: cora, citeseer
  optim.lr: [0.01, 0.005]
  seeds: 10            # seeds 0 to 9
  jobs: 4              # four at a time

`points:` may list mappings for values that do not all go with each other; each of them is combined
with all other lines. Settings typed after FILE replace its lines: gbench sweep FILE seeds=3
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.cli.arguments import add_running
from gbench.cli.other_code import tell_equal_seeds, tell_other_code

if TYPE_CHECKING:
    from gbench.config.compose import Config

SUMMARY = "train all points of a YAML file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the sweep's YAML file")
    add_running(parser)


def run(args: argparse.Namespace) -> int:
    from gbench.sweep.file import read

    return sweep(read(args.file, args.overrides), args)


def sweep(groups: Sequence[Sequence[str]], args: argparse.Namespace) -> int:
    """Run the points of all groups of words as one sweep, and return the exit code."""
    from rich.console import Console

    from gbench.records.folder import RECORD, put_aside
    from gbench.sweep.engine import run_all
    from gbench.sweep.points import compose_all, run_folder
    from gbench.sweep.report import report
    from gbench.sweep.words import take_options

    configs: dict[Path, Config] = {}
    for words in groups:
        options, settings = take_options(words)  # the same in every group
        for config in compose_all(settings, args.config_dir):
            configs.setdefault(run_folder(config), config)
    if args.force:
        for folder in configs:
            put_aside(folder)
    console = Console(stderr=True, highlight=False)
    tell_other_code(c for folder, c in configs.items() if not (folder / RECORD).exists())
    tell_equal_seeds(configs.values())
    outcomes = run_all([*configs.values()], options=options, console=console)
    report(outcomes, console, args.json)
    return outcomes.exit_code
