"""Train a model on a dataset and leave a record in the run's folder.

Settings are Hydra overrides: model=NAME and data=NAME choose, a.b=VALUE changes a setting,
+a.b=VALUE adds one, ~a.b removes one. `gbench list` shows the names, `gbench show` the settings.
The same command again shows the finished run, or continues it where it was interrupted.

Several values make a sweep, points in processes: model=gin,gcn data=cora,citeseer seed=0..9
  seeds=10     the same as seed=0..9         folds=all    all folds of each dataset (or folds=5)
  jobs=4       so many at a time; otherwise one for each GPU, else one for each core (for four
               cores where the dataset is large); jobs=auto puts as many on each GPU as the memory
               that the first run takes leaves room for
  retries=2    try a point that fails so often again (1)
  executor=slurm|ray   on a cluster that shares the runs folder: slurm.partition=gpu
               slurm.time=2:00:00 (sbatch's options, with underscores), ray.address=HOST:PORT
               ray.num_gpus=0.5
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.cli.arguments import add_running
from gbench.cli.other_code import tell_other_code

if TYPE_CHECKING:
    from rich.console import Console

    from gbench.config.compose import Config
    from gbench.records.record import RunRecord

SUMMARY = "train a model on a dataset"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_running(parser)
    parser.add_argument("-m", action="store_true", help="not needed: lists make a sweep anyway")


def run(args: argparse.Namespace) -> int:
    from gbench.config.compose import compose
    from gbench.config.identity import run_name
    from gbench.records.folder import RECORD, put_aside
    from gbench.sweep.words import is_sweep

    if is_sweep(args.overrides):
        from gbench.cli.sweep import sweep

        return sweep([args.overrides], args)
    config = compose(args.overrides, args.config_dir)
    folder = Path(config["runs_dir"]) / run_name(config)
    if args.force:
        put_aside(folder)
    if (folder / RECORD).exists():
        return finished_before(folder, args.json, config)
    tell_other_code([config])
    return carry_out(config, folder, args)


def finished_before(folder: Path, as_json: bool, asked: Config | None = None) -> int:
    """Show the record of a run that is already there, and say what was asked and it has not."""
    from rich.console import Console

    from gbench.records import record
    from gbench.records.folder import RECORD
    from gbench.records.other_code import finished_notes

    console = Console(stderr=True, highlight=False)
    console.print("This run has finished before; --force runs it again.", style="yellow")
    found = record.read(folder / RECORD)
    for note in finished_notes(found, asked):
        console.print(note, style="yellow", soft_wrap=True, markup=False)
    _show(found, folder, console, as_json)
    return 0


def carry_out(config: Config, folder: Path, args: argparse.Namespace) -> int:
    """Train in `folder`, show progress on stderr and the summary, or the record with --json."""
    from rich.console import Console

    from gbench.mirror.mlflow_address import check_servers
    from gbench.processes import helps_another_process
    from gbench.records.folder import LAST

    check_servers([config])
    console = Console(stderr=True, highlight=False, quiet=helps_another_process())
    going_on = " (continuing after an interruption)" if (folder / LAST).exists() else ""
    console.print(f"[bold]{folder.name}[/]{going_on}")

    with without_collections():
        from gbench.parallel import keep_to_limit
        from gbench.quiet import silence

        if not args.debug:
            silence()
        from gbench.train.interrupt import Interrupted
        from gbench.training import train

    keep_to_limit()
    try:
        record = train(config, folder, console)
    except Interrupted as interrupted:
        console.print(f"Interrupted. Go on with: [bold]gbench resume {folder}[/]")
        return interrupted.exit_code
    if record is not None:
        _show(record, folder, console, args.json)
    return 0


@contextmanager
def without_collections() -> Iterator[None]:
    """Imports, through which Python would look again and again for garbage; nor does it later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _show(record: RunRecord, folder: Path, console: Console, as_json: bool) -> None:
    from gbench.board.summary import summarise

    summarise(record, folder, console)
    if as_json:
        print(record.to_json())
