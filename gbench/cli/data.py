"""Datasets: make some ready to train on, tell what one is, list them all, audit, free disk space.

gbench data list                 every dataset, its protocol, its sizes, and whether it is at hand
gbench data info cora            task, split, metric, source, licence, citation, statistics
gbench data get cora ogbg-molhiv        download (if need be) and prepare
gbench data get cora --split geom-gcn   under another of its protocols
gbench data get cora --source PLACE     from an archive, a folder, or a mirror's URL
gbench data get ./mygraphs              check a folder of your own: data=folder data.path=./mygraphs
gbench data audit cora           what a score on it is worth: facts, leaks, ceilings, floors
gbench data audit all --output audits.html      of all whose raw files are there; .md .csv .json
gbench data clean cora|all       remove derived files; raw files stay
"""

from __future__ import annotations

import argparse

from gbench.cli.arguments import add_config_dir
from gbench.cli.output import AUDITED as FORMATS
from gbench.cli.screen import agreed
from gbench.errors import UserError, unknown

SUMMARY = "get, describe, list, audit and clean datasets"
ACTIONS = ("get", "info", "list", "audit", "clean")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    from gbench.data import own

    parser.epilog = own.__doc__
    parser.add_argument("action", metavar="|".join(ACTIONS))
    parser.add_argument("names", nargs="*", metavar="NAME")
    add_config_dir(parser)
    parser.add_argument("--split", default="", help="one of the dataset's other protocols")
    parser.add_argument("--source", default="", metavar="PLACE", help="instead of the official URL")
    parser.add_argument("--data-dir", metavar="DIR", help="raw files (default: $GBENCH_DATA)")
    parser.add_argument("--cache-dir", metavar="DIR", help="derived files (default: $GBENCH_CACHE)")
    parser.add_argument("--yes", action="store_true", help="clean without asking")
    parser.add_argument("--format", choices=FORMATS, help="of an audit; table, unless --output's")
    parser.add_argument("--output", metavar="FILE", help="of an audit: .md, .csv, .json or .html")
    parser.add_argument(
        "--definitions", action="store_true", help="tell what each fact of an audit means"
    )


def run(args: argparse.Namespace) -> int:
    """Carry out one action."""
    from gbench import folders
    from gbench.config.compose import find_own_code
    from gbench.data import manage

    find_own_code(args.config_dir)

    if args.action not in ACTIONS:
        raise unknown("action", args.action, ACTIONS)
    _check_used(args)
    data_dir, cache_dir = folders.data_dir(args.data_dir), folders.cache_dir(args.cache_dir)
    if args.action == "list":
        print(manage.listing(args.config_dir, data_dir, cache_dir))
        return 0
    if not args.names:
        raise UserError(
            f"gbench data {args.action} NAME: which dataset? gbench data list shows all"
        )
    if args.action == "audit":
        from gbench.cli import auditing

        return auditing.run(args, data_dir, cache_dir)
    if args.action == "clean":
        sizes = manage.to_clean(args.names, cache_dir)
        if not args.yes and not agreed(manage.told(sizes, cache_dir)):
            print("nothing removed")
            return 0
        print(manage.clean(args.names, cache_dir))
        return 0
    cards = [manage.card_of(name, args.config_dir, args.split) for name in args.names]
    if args.action == "get":
        from gbench.data.files.supply import checked_place

        for line in manage.get(cards, data_dir, cache_dir, checked_place(args.source)):
            print(line)
        return 0
    for name, card in zip(args.names, cards, strict=True):
        print(manage.info(card, manage.about(name, args.config_dir), data_dir, cache_dir))
    return 0


def _check_used(args: argparse.Namespace) -> None:
    """Raise UserError for what was typed and the action does not read."""
    if args.action == "list" and args.names:
        raise UserError(f"gbench data list takes no name: gbench data info {args.names[0]}")
    for option, actions in {
        "split": ("get", "info", "audit"),
        "source": ("get", "audit"),
        "yes": ("clean",),
        "format": ("audit",),
        "output": ("audit",),
        "definitions": ("audit",),
    }.items():
        if getattr(args, option) and args.action not in actions:
            *others, last = actions
            verbs = f"{', '.join(others)} and {last}" if others else last
            raise UserError(f"--{option} is for gbench data {verbs}")
