"""Ask finished runs again: a line for each item, with its label, the answer and probabilities.

gbench predict cora-gcn-1a2b3c4d5e-s0 > predictions.csv
gbench predict cora-gcn-1a2b3c4d5e-s0 --split all --output all.parquet
gbench predict runs/mutag-gin-1a2b3c4d5e-* --output p.csv
gbench predict mine-gin-1a2b3c4d5e-s0 --data ~/new-molecules --output new.csv

The columns: item (its position in the dataset), id (and graph) as in your own files, split, true,
predicted, p_NAME (the probability of each class or task), fold, seed and run. Several runs of one
setting are averaged, each item over those that were asked about it, with their disagreement: the
share of them whose answer is not that of most, or the standard deviation of numbers.

--data is a folder or file as data=folder reads it, of the same columns as the run's own; its labels
need not be there. An .npz file of OGB data has y_true and y_pred, as OGB's evaluators read them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.cli.arguments import add_runs
from gbench.errors import UserError, unknown

if TYPE_CHECKING:
    from gbench.predictions.predictions import Predictions
    from gbench.predictions.together import Ensemble

SUMMARY = "write what finished runs say of each item, or of new data"
SPLITS = ("test", "valid", "train", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="+", metavar="RUN", help="a run's folder, or (the start of) its name"
    )
    add_runs(parser)
    parser.add_argument("--split", metavar="|".join(SPLITS), help="which items (default: test)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="new data, predicted whole")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="a new .csv, .parquet or .npz; else stdout"
    )
    parser.add_argument(
        "--code", choices=("kept", "now"), help="of your own: that of the training, or today's"
    )


def run(args: argparse.Namespace) -> int:
    from gbench.predictions import write

    split = args.split or "test"
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if args.data is not None and args.split is not None:
        raise UserError(f"--data {args.data} is predicted whole: leave --split out")
    if args.output is not None:
        write.check(args.output)
    given = predicted(args, split, one_setting=True)
    found = given[0] if len(given) == 1 else _together(given)
    if args.output is None:
        sys.stdout.write(write.as_csv(found.frame()))
        return 0
    write.put(found.frame, found.arrays, args.output)
    print(args.output)
    return 0


def predicted(args: argparse.Namespace, split: str, *, one_setting: bool) -> list[Predictions]:
    """What each run says; what is wrong with any of them is told before the first is asked.

    Notes go to stderr, each once.
    """
    from gbench.finished import settings_of
    from gbench.predictions.together import check_together
    from gbench.quiet import silence
    from gbench.records import folder as runfolder
    from gbench.records import record

    folders = [runfolder.find(name, args.runs_dir) for name in args.names]
    for folder in folders:
        settings_of(folder, args.code)
    check_together(
        [record.read(folder / runfolder.RECORD) for folder in folders], one_setting=one_setting
    )
    if not args.debug:
        silence()

    from gbench.console import console
    from gbench.predictions.predict import predict

    given = list["Predictions"]()
    with console().status("") as status:
        for k, folder in enumerate(folders):
            status.update(f"{k + 1} of {len(folders)}: {folder.name}")
            given.append(predict(folder, split, getattr(args, "data", None), args.code))
    for note in dict.fromkeys(note for each in given for note in each.notes):
        print(f"note: {note}", file=sys.stderr)
    return given


def _together(given: list[Predictions]) -> Ensemble:
    from gbench.predictions.together import ensemble

    return ensemble(given)
