"""List what can be chosen, group by group: models, datasets, encodings and so on."""

from __future__ import annotations

import argparse

from gbench.cli.arguments import add_config_dir
from gbench.errors import unknown

SUMMARY = "list models, data, encodings, batchings, trainers, loggers, sweeps, experiments"
TITLES = {
    "models": "model",
    "data": "data",
    "encodings": "encoding",
    "batchings": "batching",
    "trainers": "trainer",
    "loggers": "logger",
    "sweeps": "sweep",
    "experiments": "experiment",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", metavar="|".join(TITLES), help="one of these; all if left out"
    )
    add_config_dir(parser)


def run(args: argparse.Namespace) -> int:
    from gbench.choices import choices, description, takes_place

    if args.what is not None and args.what not in TITLES:
        raise unknown("list", args.what, TITLES)
    for title, group in TITLES.items():
        if args.what not in (None, title):
            continue
        found = choices(group, args.config_dir)
        width = max(map(len, found), default=0)
        print(f"{title} ({group}=NAME)")
        for name, path in found.items():
            ours = " (yours, in place of gbench's)" if takes_place(group, path) else ""
            print(f"  {name:{width}}  {description(path)}{ours}")
        if args.what is None and title != "experiments":
            print()
    return 0
