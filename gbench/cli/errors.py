"""Show where finished runs are wrong on the test part.

gbench errors cora-gcn-1a2b3c4d5e-s0
gbench errors runs/imdb-binary-gin-1a2b3c4d5e-* --json

Which classes are taken for which, with precision, recall and F1 of each; the score by degree, by
homophily of the node, by size of its component (of graphs by their size); whether probabilities are
right as often as they say; which items every run gets wrong, and which of these equal an item with
another label, so that no rule can get all of them right. Several runs on the same data and split
are taken together: shares are of all their answers.

What it counts is left in the run's folder as errors.json, from which `gbench leaderboard --format
html` draws it.
"""

from __future__ import annotations

import argparse
import json

from gbench.cli.arguments import add_runs
from gbench.cli.screen import screen

SUMMARY = "show where finished runs are wrong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="+", metavar="RUN", help="a run's folder, or (the start of) its name"
    )
    add_runs(parser)
    parser.add_argument(
        "--code", choices=("kept", "now"), help="of your own: that of the training, or today's"
    )
    parser.add_argument("--json", action="store_true", help="print all of it to stdout as JSON")


def run(args: argparse.Namespace) -> int:
    from gbench.finished import settings_of
    from gbench.quiet import silence
    from gbench.records import folder as runfolder
    from gbench.records.record import finite

    folders = [runfolder.find(name, args.runs_dir) for name in args.names]
    for folder in folders:
        settings_of(folder, args.code)  # what is wrong with them is told before torch is imported
    if not args.debug:
        silence()

    from gbench.cli.errors_shown import show
    from gbench.console import console
    from gbench.predictions.examine import examine

    with console().status("") as status:
        report = examine(folders, args.code, status.update)
    if args.json:
        print(json.dumps(finite(report.plain()), indent=1, allow_nan=False))
        return 0
    show(report, screen())
    return 0
