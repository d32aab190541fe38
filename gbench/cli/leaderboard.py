"""`gbench leaderboard`: the finished runs of one or more folders as ranked tables.

Published results stand among them. Without a run on the dataset that is asked for they stand alone.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path

from gbench import folders
from gbench.board import tables as leaderboard
from gbench.board.audits import with_audits
from gbench.board.formats import latex, markdown, terminal
from gbench.board.formats import sheets as export
from gbench.board.published import Published, published_rows
from gbench.board.tables import Table
from gbench.choices import choices, read_yaml
from gbench.cli.arguments import OPTIONS
from gbench.cli.output import FORMATS, format_of
from gbench.cli.screen import screen
from gbench.errors import UserError, unknown
from gbench.figures import counted
from gbench.folders import written_whole
from gbench.mirror import source as wandb_source
from gbench.quotes import unquoted
from gbench.records import find as store
from gbench.records.record import RunRecord

SUMMARY = "show finished runs and published results as ranked tables"
DEFAULT_RUNS_DIR = "runs"
_FILTERS = {"data": "dataset", "model": "model", "split": "split"}
_SHOWN_PROBLEMS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="RUNS_DIR | data=NAME[,NAME] | model=NAME[,NAME] | split=NAME[,NAME]",
        help="folders of runs (default: runs), and which datasets, models and splits to show",
    )
    parser.add_argument(
        *OPTIONS,
        dest="folders",
        action="append",
        default=[],
        metavar="DIR",
        help="the same as RUNS_DIR and runs_dir=DIR",
    )
    parser.add_argument("--format", choices=FORMATS, help="table, unless --output's ending says it")
    parser.add_argument(
        "--from",
        dest="places",
        action="append",
        default=[],
        type=wandb_source.checked,
        metavar="wandb:ENTITY/PROJECT",
        help="the runs that logger=wandb mirrored there, instead of folders or beside them",
    )
    parser.add_argument("--output", metavar="FILE", help="a .md, .csv, .json, .tex or .html file")
    parser.add_argument(
        "--audit", action="store_true", help="audit the datasets shown that have no audit yet"
    )
    parser.add_argument("--cache-dir", metavar="DIR", help="derived files (default: $GBENCH_CACHE)")
    parser.add_argument("--serve", action="store_true", help="show the html page live")
    parser.add_argument("--port", type=int, metavar="N", help="for --serve; 0 is any free one")
    parser.add_argument("--host", metavar="ADDRESS", help="for --serve beyond this machine")


def run(args: argparse.Namespace) -> int:
    """Print the tables to stdout; what was left out goes to stderr."""
    args.what += args.folders
    if args.serve:
        return _serve(args)
    chosen = format_of(args.format, args.output)
    for name in ("port", "host"):
        if getattr(args, name) is not None:
            raise UserError(f"--{name} needs --serve: gbench leaderboard --serve --{name} …")
    # Records make no reference cycles, and the collector would walk the growing heap again and
    # again: 0.9 s with it, 0.6 s without, for 10,000 records.
    collecting = gc.isenabled()
    gc.disable()
    try:
        if args.output is None:
            return _show(args, chosen)
        text = io.StringIO()
        with redirect_stdout(text):
            code = _show(args, chosen)
        _write(text.getvalue(), Path(args.output))
        return code
    finally:
        if collecting:
            gc.enable()


def _show(args: argparse.Namespace, chosen_format: str) -> int:
    filters, runs_dirs = asked(args.what + args.places)
    tables, notes = _asked_tables(filters, runs_dirs, args)
    for note in notes:
        print(note, file=sys.stderr)
    if chosen_format == "table":
        terminal.draw(tables, screen())
    elif chosen_format == "html":
        from gbench.board.page.page import html

        sys.stdout.write(html(tables, runs_dirs or [DEFAULT_RUNS_DIR], notes))
    else:
        texts = {
            "md": markdown.markdown,
            "csv": export.csv_text,
            "json": export.json_text,
            "latex": latex.latex,
        }
        sys.stdout.write(texts[chosen_format](tables))
    return 0


def _serve(args: argparse.Namespace) -> int:
    from gbench.board.page.live import Live
    from gbench.board.page.serve import LOOPBACK, PORT, serve

    if args.format not in (None, "table", "html") or args.output is not None:
        raise UserError("--serve shows the html page: leave --format and --output out")
    filters, runs_dirs = asked(args.what + args.places)
    if any(place.startswith(wandb_source.PREFIX) for place in runs_dirs):
        raise UserError("--serve watches folders of runs: leave --from out")
    cache_dir = folders.cache_dir(args.cache_dir)
    if args.audit:
        for note in _asked_tables(filters, runs_dirs, args)[1]:
            print(note, file=sys.stderr)
    live = Live(
        runs_dirs or [DEFAULT_RUNS_DIR], lambda: chosen_tables(filters, runs_dirs, cache_dir)
    )
    return serve(live, args.host or LOOPBACK, PORT if args.port is None else args.port)


def _asked_tables(
    filters: dict[str, list[str]], runs_dirs: list[str], args: argparse.Namespace
) -> tuple[list[Table], list[str]]:
    """The tables and what to say of them, after the audits that --audit asks for."""
    cache_dir = folders.cache_dir(args.cache_dir)
    tables, notes = chosen_tables(filters, runs_dirs, cache_dir)
    if args.audit:
        from gbench.cli.missing_audits import audit_missing

        gc.enable()  # records are read, and audits leave cycles
        notes += audit_missing(tables, cache_dir)
        tables = with_audits(tables, cache_dir)
    return tables, notes


def _write(text: str, path: Path) -> None:
    try:
        with written_whole(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def chosen_tables(
    filters: dict[str, list[str]], runs_dirs: list[str], cache_dir: Path | None = None
) -> tuple[list[Table], list[str]]:
    """Tables of what the filters choose, and what is left out or missing.

    With what audits say that are kept in `cache_dir`, the usual folder of derived files.
    """
    records, notes = _records(runs_dirs, filters)
    papers: Sequence[Published] = published_rows()
    for key, names in filters.items():
        records, papers = _only(records, papers, key, names)
    tables = leaderboard.rows(records, papers)
    repeated = sum(table.repeated for table in tables)
    if repeated:
        notes.append(
            f"{counted(repeated, 'record')} left out: the same setting, seed and fold finished "
            "again later"
        )
    if "data" in filters:
        trained = {name for record in records for name in _names(record, "data")}
        alone = [paper for paper in papers if paper.data not in trained]
        printed = {paper.data for paper in alone}
        for name in sorted(printed | ({*filters["data"]} - trained)):
            ours = [p.experiment for p in alone if p.data == name and p.experiment]
            choice = f"experiment={ours[0]}" if ours else _choice_of(name)
            notes.append(
                f"no finished run on {name} in {', '.join(runs_dirs) or DEFAULT_RUNS_DIR}, "
                f"{'only published results' if name in printed else 'and no published result yet'}"
                f": `gbench train {choice}` makes one"
            )
        tables += leaderboard.published_tables(alone)
    return with_audits(tables, cache_dir or folders.cache_dir()), notes


def _records(
    runs_dirs: list[str], filters: dict[str, list[str]]
) -> tuple[list[RunRecord], list[str]]:
    """What lies in the runs folders, and what was left out; without any, a dataset is asked for."""
    records: list[RunRecord] = []
    problems: list[store.Problem] = []
    if runs_dirs or Path(DEFAULT_RUNS_DIR).is_dir():
        records, problems = _find(runs_dirs or [DEFAULT_RUNS_DIR])
    if not records and (runs_dirs or "data" not in filters):
        raise UserError(
            f"no finished run in {', '.join(runs_dirs) or DEFAULT_RUNS_DIR}: type `gbench train` "
            "to make one, or give the folder of your runs, `gbench leaderboard RUNS_DIR`; "
            "published results alone: `gbench leaderboard data=cora`"
        )
    return records, _left_out(problems)


def _find(places: list[str]) -> tuple[list[RunRecord], list[store.Problem]]:
    """What lies in folders, and what was mirrored to wandb."""
    folders = [place for place in places if not place.startswith(wandb_source.PREFIX)]
    records, problems = store.find(folders)
    for place in places:
        if place not in folders:
            there, bad = wandb_source.find(place)
            records, problems = records + there, problems + bad
    return records, problems


def asked(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """`["mine/", "data=cora,texas"]` → `{"data": ["cora", "texas"]}, ["mine/"]`."""
    filters: dict[str, list[str]] = {}
    runs_dirs = []
    for word in words:
        key, equals, names = word.partition("=")
        if not equals or os.sep in key:  # a folder with = in its name: ./a=b
            runs_dirs.append(word)
        elif key == "runs_dir" and names:
            runs_dirs.append(unquoted(names))
        elif key in _FILTERS and names:
            filters.setdefault(key, []).extend(names.split(","))
        elif key in _FILTERS:
            raise UserError(f"'{word}' names nothing: type {key}=NAME or {key}=NAME,NAME")
        else:
            raise unknown("filter", key, _FILTERS, "Type data=NAME, model=NAME or split=NAME")
    return {key: filters[key] for key in _FILTERS if key in filters}, runs_dirs


def _only(
    records: list[RunRecord], papers: Sequence[Published], key: str, names: list[str]
) -> tuple[list[RunRecord], list[Published]]:
    kept = [record for record in records if _names(record, key) & {*names}]
    quoted = [paper for paper in papers if any(_is(paper, key, name) for name in names)]
    found = {name for record in kept for name in _names(record, key)}
    for name in names:
        if name not in found and not any(_is(paper, key, name) for paper in quoted):
            known = _is_known(key, name)
            if (known and key == "data") or not (records or papers):
                continue  # a note says that there is nothing yet
            available = {getattr(record, key) for record in records}
            available |= set() if records else {getattr(paper, key) for paper in papers}
            if known:
                raise UserError(
                    f"no finished run here and no published result of the {_FILTERS[key]} "
                    f"'{name}', available: {', '.join(sorted(available))}."
                )
            raise unknown(
                _FILTERS[key],
                name,
                available,
                "Only what has finished runs here or published results counts",
            )
    return kept, quoted


def _is_known(key: str, name: str) -> bool:
    """Whether it is a packaged dataset or model, whatever has been run on it."""
    if key not in ("data", "model"):
        return False
    return name in choices(key) or (key == "data" and name in _members())


def _members() -> Mapping[str, object]:
    """The datasets of the TU collection, which share one file."""
    members: Mapping[str, object] = read_yaml(choices("data")["tu"])["names"]
    return members


def _choice_of(data: str) -> str:
    is_member = data not in choices("data") and data in _members()
    return f"data=tu data.name={data}" if is_member else f"data={data}"


def _names(record: RunRecord, key: str) -> set[str]:
    name: str = getattr(record, key)
    return {name, name.split(" ")[0]}  # "csbm" also names its variants, "csbm homophily=0.2"


def _is(paper: Published, key: str, name: str) -> bool:
    return paper.is_of(name) if key == "model" else getattr(paper, key) == name


def _left_out(problems: list[store.Problem]) -> list[str]:
    if not problems:
        return []
    lines = [f"{problem.path}: {problem.reason}" for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        lines.append(f"… and {len(problems) - _SHOWN_PROBLEMS} more")
    start = "\n  " if len(problems) > 1 else " "
    return [f"{counted(len(problems), 'record')} left out:{start}" + "\n  ".join(lines)]
