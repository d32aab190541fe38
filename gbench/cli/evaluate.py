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

    from gbench.config.compose import load
    from gbench.errors import UserError
    from gbench.own_code.kept import at_hand
    from gbench.quiet import silence
    from gbench.records import folder as runfolder
    from gbench.records.other_code import refuse_changed

    folder = runfolder.find(args.name, args.runs_dir)
    if not (folder / runfolder.RECORD).exists():
        raise UserError(f"{folder.name} has not finished: gbench resume {folder}")
    config = load(folder / runfolder.CONFIG)
    if args.code == "now":
        config.pop("code", None)
    elif args.code is None:
        refuse_changed(config, folder)
    if not args.debug:
        silence()

    from gbench.build import build_task
    from gbench.figures import metric_text
    from gbench.records import record as records
    from gbench.teaching import taught
    from gbench.train.checkpoint import load_weights
    from gbench.train.matmul import matmul_precision
    from gbench.train.trainer import make_trainer

    record = records.read(folder / runfolder.RECORD)
    weights = load_weights(folder / runfolder.BEST)
    teaching = taught(config, folder)
    task = build_task(at_hand(config, folder), teaching)
    task.model.load_state_dict(weights)
    kept = {key: config["trainer"][key] for key in ("accelerator", "precision", "deterministic")}
    trainer = make_trainer({**kept, "devices": 1}, [], [])
    device = trainer.strategy.root_device
    task.to(device)
    task.place_data(device)
    with matmul_precision(config["trainer"]):
        values = {
            split: task.evaluate(split, trainer.precision_plugin.val_step_context())
            for split in ("valid", "test")
        }
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
