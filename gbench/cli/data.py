"""Datasets: make one ready to train on, tell what it is, list them all, free what was derived.

gbench data list                 every dataset, its protocol, and whether it is at hand
gbench data info cora            task, split, metric, source, licence, citation, statistics
gbench data get ogbg-molhiv      download (if need be) and prepare
gbench data get cora --split geom-gcn
gbench data clean cora|all       remove derived files; raw files stay
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gbench.errors import UserError, unknown

SUMMARY = "get, describe, list and clean datasets"
ACTIONS = ("get", "info", "list", "clean")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("action", metavar="|".join(ACTIONS))
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--config-dir", action="append", default=[], type=Path, metavar="DIR")
    parser.add_argument("--split", default="", help="one of the dataset's other protocols")
    parser.add_argument("--data-dir", metavar="DIR", help="raw files (default: $GBENCH_DATA)")
    parser.add_argument("--cache-dir", metavar="DIR", help="derived files (default: $GBENCH_CACHE)")


def run(args: argparse.Namespace) -> int:
    """Carry out one action."""
    from gbench import folders
    from gbench.config import find_own_code
    from gbench.data import manage

    find_own_code(args.config_dir)

    if args.action not in ACTIONS:
        raise unknown("action", args.action, ACTIONS)
    data_dir, cache_dir = folders.data_dir(args.data_dir), folders.cache_dir(args.cache_dir)
    if args.action == "list":
        print(manage.listing(args.config_dir, data_dir, cache_dir))
        return 0
    if not args.names:
        raise UserError(
            f"gbench data {args.action} NAME: which dataset? gbench data list shows all"
        )
    if args.action == "clean":
        print(manage.clean(args.names, cache_dir))
        return 0
    for name in args.names:
        card = manage.card_of(name, args.config_dir, args.split)
        if args.action == "get":
            print(manage.get(card, data_dir, cache_dir))
        else:
            print(manage.info(card, manage.about(name, args.config_dir), data_dir, cache_dir))
    return 0
