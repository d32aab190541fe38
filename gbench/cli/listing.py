"""List what can be chosen, group by group: models, datasets, encodings and so on."""

from __future__ import annotations

import argparse
import json

from gbench.cli.arguments import add_config_dir
from gbench.errors import unknown

SUMMARY = "list models, data, metrics, losses, transforms, encodings, batchings, loggers and so on"
TITLES = {
    "models": "model",
    "data": "data",
    "transforms": "transform",
    "encodings": "encoding",
    "batchings": "batching",
    "trainers": "trainer",
    "loggers": "logger",
    "sweeps": "sweep",
    "experiments": "experiment",
}
FACTS = ("metrics", "losses")  # of datasets, which a command line does not choose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", metavar="|".join((*TITLES, *FACTS)), help="one of these; all if left out"
    )
    add_config_dir(parser)


def run(args: argparse.Namespace) -> int:
    from gbench.choices import choices, description, takes_place

    if args.what is not None and args.what not in (*TITLES, *FACTS):
        raise unknown("list", args.what, (*TITLES, *FACTS))
    for title, group in TITLES.items():
        if args.what not in (None, title):
            continue
        found = choices(group, args.config_dir)
        width = max(map(len, found), default=0)
        print(f"{title} ({group}=NAME)")
        for name, path in found.items():
            ours = " (yours, in place of gbench's)" if takes_place(group, path) else ""
            print(f"  {name:{width}}  {description(path)}{ours}")
        if args.what is None:
            print()
    for title, lines in {"metrics": _metrics(), "losses": _losses()}.items():
        if args.what in (None, title):
            print("\n".join(lines))
        if args.what is None and title != FACTS[-1]:
            print()
    return 0


def _metrics() -> list[str]:
    from gbench import metrics

    rows = {name: (metric.labels, metric.direction) for name, metric in metrics.METRICS.items()}
    rows[metrics.AT_K] = (("links",), "max")
    better = {"max": "higher is better", "min": "lower is better"}
    width = max(map(len, rows))
    return [
        "metrics (of a dataset's YAML, metric: NAME; told besides: trainer.also=[NAME])",
        *(f"  {name:{width}}  {', '.join(of)}: {better[way]}" for name, (of, way) in rows.items()),
    ]


def _losses() -> list[str]:
    from gbench.losses import LOSSES

    width = max(map(len, LOSSES))
    lines = []
    for name, loss in LOSSES.items():
        options = (f"{key}: {json.dumps(option.usual)}" for key, option in loss.options.items())
        told = f"; loss_options: {{{', '.join(options)}}}" if loss.options else ""
        lines.append(f"  {name:{width}}  {loss.labels}{told}")
    return ["losses (of a dataset's YAML, loss: NAME)", *lines]
