"""Write a finished run as one Python script that trains and tests the same model by itself.

gbench export cora-gcn-1a2b3c4d5e-s0 --output gcn_on_cora.py
python gcn_on_cora.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gbench.cli.arguments import add_runs
from gbench.errors import UserError

SUMMARY = "write a run as one readable Python script"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runs(parser)
    parser.add_argument(
        "name", metavar="RUN", help="the run's folder, or (the start of) its name in runs/"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="a new file; else stdout")


def run(args: argparse.Namespace) -> int:
    from gbench.config import compose as config
    from gbench.export.script import script
    from gbench.folders import written_whole
    from gbench.own_code.kept import at_hand
    from gbench.records import folder as runfolder
    from gbench.records import record

    folder = runfolder.find(args.name, args.runs_dir)
    if not (folder / runfolder.RECORD).exists():
        raise UserError(f"{folder.name} has not finished: gbench resume {folder}")
    settings = config.load(folder / runfolder.CONFIG)
    at_hand(settings, folder)  # its code is kept, and found
    text = script(record.read(folder / runfolder.RECORD), settings, folder)
    if args.output is None:
        sys.stdout.write(text)
        return 0
    if args.output.exists():
        raise UserError(f"{args.output} is there already: give --output another name")
    try:
        with written_whole(args.output) as file:
            file.write(text.encode())
    except OSError as error:
        raise UserError(f"cannot write {args.output}: {error.strerror}") from error
    print(args.output)
    return 0
