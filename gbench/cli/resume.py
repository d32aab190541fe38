"""Continue an interrupted run where it was cut: the curve is that of an uninterrupted one."""

from __future__ import annotations

import argparse

SUMMARY = "continue an interrupted run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", metavar="RUN", help="the run's folder, or (the start of) its name in runs/"
    )
    parser.add_argument("--json", action="store_true", help="print the record to stdout")


def run(args: argparse.Namespace) -> int:
    from gbench import config, runfolder
    from gbench.cli.train import carry_out, finished_before

    folder = runfolder.find(args.name)
    if (folder / runfolder.RECORD).exists():
        return finished_before(folder, args.json)
    return carry_out(config.load(folder / runfolder.CONFIG), folder, args)
