"""Evaluate a finished run's weights again, on the validation and test splits.

Code of your own that has changed since is refused, because the weights are not its: --code=kept
takes what the run's folder keeps of the code that trained them, --code=now the code as it is now.
"""

from __future__ import annotations

import argparse
import json

from gbench.cli.arguments import add_runs

SUMMARY = "evaluate a finished run's weights again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runs(parser)
    parser.add_argument(
        "name", metavar="RUN", help="the run's folder, or (the start of) its name in runs/"
    )
    parser.add_argument(
        "--code", choices=("kept", "now"), help="of your own: that of the training, or today's"
    )
    parser.add_argument("--json", action="store_true", help="print the metrics to stdout as JSON")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from gbench.figures import metric_text
    from gbench.finished import restored, settings_of
    from gbench.quiet import silence
    from gbench.records import folder as runfolder

    folder = runfolder.find(args.name, args.runs_dir)
    settings_of(folder, args.code)  # what is wrong with them is told before torch is imported
    if not args.debug:
        silence()
    run = restored(folder, args.code)
    record, values = run.record, {split: run.evaluate(split) for split in ("valid", "test")}
    if args.json:
        print(json.dumps({"run": folder.name, "metric": record.metric, **values}))
        return 0
    console = Console(highlight=False)
    for split, value in values.items():
        recorded = getattr(record, split)
        console.print(
            f"{split:5} {record.metric} {metric_text(record.metric, value)}"
            f"  (recorded {metric_text(record.metric, recorded)})"
        )
    return 0
