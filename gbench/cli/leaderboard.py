"""`gbench leaderboard`: the finished runs of one or more folders as ranked tables."""

from __future__ import annotations

import argparse
import gc
import os
import sys

from gbench.errors import UserError, unknown
from gbench.results import export, leaderboard, render, store
from gbench.results.record import RunRecord

SUMMARY = "show finished runs as ranked tables"
DEFAULT_RUNS_DIR = "runs"
_FILTERS = ("data", "model")
_SHOWN_PROBLEMS = 5
_WIDTH_OF_A_FILE = 120  # without a terminal, unless COLUMNS says otherwise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="RUNS_DIR | data=NAME[,NAME] | model=NAME[,NAME]",
        help="folders of runs (default: runs), and which datasets and models to show",
    )
    parser.add_argument("--format", choices=("table", "md", "csv", "json"), default="table")


def run(args: argparse.Namespace) -> int:
    """Print the tables to stdout; what was left out goes to stderr."""
    # Records make no reference cycles, and the collector would walk the growing heap again and
    # again: 0.9 s with it, 0.6 s without, for 10,000 records.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _show(args.what, args.format)
    finally:
        if collecting:
            gc.enable()


def _show(what: list[str], chosen_format: str) -> int:
    filters, runs_dirs = _split(what)
    records, problems = store.find(runs_dirs)
    _report(problems)
    if not records:
        raise UserError(
            f"no finished run in {', '.join(runs_dirs)}: type `gbench train` to make one, or give "
            "the folder of your runs, `gbench leaderboard RUNS_DIR`"
        )
    for key in _FILTERS:
        if key in filters:
            records = _only(records, key, filters[key])
    tables = leaderboard.rows(records)
    repeated = sum(table.repeated for table in tables)
    if repeated:
        print(
            f"{_count(repeated, 'record')} left out: the same setting, seed and fold finished "
            "again later",
            file=sys.stderr,
        )
    if chosen_format == "table":
        _draw(tables)
    else:
        texts = {"md": render.markdown, "csv": export.csv_text, "json": export.json_text}
        sys.stdout.write(texts[chosen_format](tables))
    return 0


def _split(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """`["mine/", "data=cora,texas"]` → `{"data": ["cora", "texas"]}, ["mine/"]`."""
    filters: dict[str, list[str]] = {}
    runs_dirs = []
    for word in words:
        key, equals, names = word.partition("=")
        if not equals or os.sep in key:  # a folder with = in its name: ./a=b
            runs_dirs.append(word)
        elif key in _FILTERS and names:
            filters.setdefault(key, []).extend(names.split(","))
        elif key in _FILTERS:
            raise UserError(f"'{word}' names nothing: type {key}=NAME or {key}=NAME,NAME")
        else:
            raise unknown("filter", key, _FILTERS, "Type data=NAME or model=NAME")
    return filters, runs_dirs or [DEFAULT_RUNS_DIR]


def _only(records: list[RunRecord], key: str, names: list[str]) -> list[RunRecord]:
    # "csbm" also names its variants, "csbm homophily=0.2"
    kept = [r for r in records if {getattr(r, key), getattr(r, key).split(" ")[0]} & {*names}]
    found = {name for r in kept for name in (getattr(r, key), getattr(r, key).split(" ")[0])}
    for name in names:
        if name not in found:
            raise unknown(
                {"data": "dataset", "model": "model"}[key],
                name,
                {getattr(record, key) for record in records},
                "Only what has finished runs here counts",
            )
    return kept


def _report(problems: list[store.Problem]) -> None:
    if not problems:
        return
    lines = [f"{problem.path}: {problem.reason}" for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        lines.append(f"… and {len(problems) - _SHOWN_PROBLEMS} more")
    start = "\n  " if len(problems) > 1 else " "
    print(
        f"{_count(len(problems), 'record')} left out:{start}" + "\n  ".join(lines), file=sys.stderr
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _draw(tables: list[leaderboard.Table]) -> None:
    from rich.console import Console

    fixed = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    render.draw(tables, Console(width=_WIDTH_OF_A_FILE if fixed else None))
