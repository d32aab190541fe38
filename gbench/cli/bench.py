"""Measure what kernels, loader and training gain on this machine, against what else is installed.

gbench bench kernels                          every operation, workload and peer (many minutes)
gbench bench kernels --quick --op gine_aggregate --op spmm
gbench bench kernels --op spmm --workload molhiv-512 --peer pyg --json rows.json
gbench bench loader                           batches of ogbg-molhiv against PyG's loader
gbench bench train --only gcn-cora            whole trainings, and the accuracy of both sides

A row is timed only after its values and gradients were compared with the operation's plain
definition, a training only after both sides gave the same outputs with the same weights.
ratio = the peer's time / ours. Exit code 1: something did not compute what it should.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.errors import UserError, unknown
from gbench.folders import written_whole

if TYPE_CHECKING:
    from gbench.bench.row import Row
    from gbench.bench.training import TrainRow

SUMMARY = "measure kernels, loader and training against other packages"
BENCHES = ("kernels", "loader", "train")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("what", metavar="|".join(BENCHES))
    parser.add_argument("--op", action="append", default=[], help="only this operation")
    parser.add_argument("--workload", action="append", default=[], help="only this graph")
    parser.add_argument("--peer", action="append", default=[], help="only peers so named (a part)")
    parser.add_argument("--only", action="append", default=[], help="train: only this comparison")
    parser.add_argument("--threads", type=int, default=1, help="more than 1: wall time")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, nothing large")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows to a file")


def run(args: argparse.Namespace) -> int:
    """Measure, print as it goes, and write the rows."""
    if args.what not in BENCHES:
        raise unknown("bench", args.what, BENCHES)
    if args.threads < 1:
        raise UserError(f"--threads {args.threads}: pass 1 or more")
    import torch

    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no GPU here; leave the option out")
    torch.set_num_threads(args.threads)
    from gbench.bench import measure
    from gbench.environment import device_name

    device = torch.device(args.device)
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"{device_name(device)}, {measure.clock_name(device)}, {load}\n")
    missing: dict[str, str] = {}
    rows: list[Row | TrainRow] = []
    with warnings.catch_warnings():
        if not args.debug:  # sparse tensors are "in beta", and other packages have their own
            warnings.simplefilter("ignore")
        for found, text in _blocks(args, missing):
            print(text, flush=True)
            rows += found
    for name, reason in missing.items():
        print(f"not measured: {name} ({reason})")
    if args.json:
        document = {"rows": [dataclasses.asdict(row) for row in rows], "not_measured": missing}
        try:
            with written_whole(args.json) as file:
                file.write(json.dumps(document, indent=1).encode())
        except OSError as error:
            raise UserError(f"cannot write {args.json}: {error.strerror}") from error
    failed = [row for row in rows if not row.checked]
    if failed:
        print(f"{len(failed)} rows did not pass their check", file=sys.stderr)
    return 1 if failed else 0


def _blocks(
    args: argparse.Namespace, missing: dict[str, str]
) -> Iterator[tuple[Sequence[Row | TrainRow], str]]:
    """What is measured, a case and direction at a time, and how it is shown."""
    import torch

    from gbench.bench import kernels, loader, measure, show, workloads

    device = torch.device(args.device)
    budget = measure.QUICK if args.quick else measure.FULL
    if args.only and args.what != "train":
        raise UserError("--only is for gbench bench train; others have --op, --workload, --peer")
    if args.what == "train":
        yield from _trainings(args, missing)
        return
    if args.what == "loader":
        if args.op or args.workload:
            raise UserError("gbench bench loader has no operations and workloads to choose from")
        for rows in loader.run(device, budget, args.peer):
            yield rows, show.block(rows)
        return
    for name in args.op:
        if name not in kernels.OPS:
            raise unknown("operation", name, kernels.OPS)
    for name in args.workload:
        if name not in workloads.NAMES:
            raise unknown("workload", name, workloads.NAMES)
    chosen = args.workload or [
        name for name in workloads.NAMES if not (args.quick and name in workloads.LARGE)
    ]
    choice = kernels.Choice(device, budget, args.op, chosen, args.peer)
    for rows in kernels.run(choice, missing):
        yield rows, show.block(rows)


def _trainings(
    args: argparse.Namespace, missing: dict[str, str]
) -> Iterator[tuple[Sequence[TrainRow], str]]:
    if args.op or args.workload or args.peer or args.device != "cpu":
        raise UserError("gbench bench train runs on the CPU and takes --only, --threads, --quick")
    from gbench.bench import show, training
    from gbench.quiet import silence

    for name in args.only:
        if name not in training.COMPARISONS:
            raise unknown("comparison", name, training.COMPARISONS)
    silence()
    print(show.TRAIN_HEAD)
    for row in training.run(args.only, args.quick, missing):
        yield [row], show.train_lines(row)
