"""Print the composed config of a run as YAML, and run nothing."""

from __future__ import annotations

import argparse
import sys

from gbench.cli.arguments import add_overrides

SUMMARY = "print the composed config, run nothing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_overrides(parser)


def run(args: argparse.Namespace) -> int:
    import yaml

    from gbench.config.compose import compose

    config = compose(args.overrides, args.config_dir)
    yaml.safe_dump(config, sys.stdout, sort_keys=False, allow_unicode=True)
    return 0
