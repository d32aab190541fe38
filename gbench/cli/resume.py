"""Continue an interrupted run where it was cut: the curve is that of an uninterrupted one."""

from __future__ import annotations

import argparse
import sys

from gbench.cli.arguments import add_runs

SUMMARY = "continue an interrupted run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runs(parser)
    parser.add_argument(
        "name", metavar="RUN", help="the run's folder, or (the start of) its name in runs/"
    )
    parser.add_argument("--json", action="store_true", help="print the record to stdout")


def run(args: argparse.Namespace) -> int:
    from gbench.cli.train import carry_out, finished_before
    from gbench.config import compose as config
    from gbench.own_code.kept import CODE
    from gbench.records import folder as runfolder
    from gbench.records.other_code import changed_since

    folder = runfolder.find(args.name, args.runs_dir)
    if (folder / runfolder.RECORD).exists():
        return finished_before(folder, args.json)
    settings = config.load(folder / runfolder.CONFIG)
    if changed := changed_since(settings):
        kept = f"It goes on with the code that it began with, which {folder / CODE} has; "
        text = kept if "code" in settings else "It goes on with the code as it is now; "
        print(
            f"Since this run began {changed}. {text}"
            "gbench train trains the new code, as a run of its own.",
            file=sys.stderr,
        )
    return carry_out(settings, folder, args)
