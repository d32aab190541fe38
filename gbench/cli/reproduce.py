"""Run papers' experiments by their own protocols, and say whether their figures come out.

  gbench reproduce gcn-cora              100 seeds, as the paper
  gbench reproduce 'od-nsd-*' jobs=4     a pattern; all folds of each dataset
  gbench reproduce gcn-cora seeds=5      a shorter look; folds=3 likewise
  gbench reproduce --list                what there is, and what the papers print
  gbench reproduce --report [FILE]       everything reproduced so far: .md or .html, else Markdown

jobs=, retries=, runs_dir=, data_dir=, cache_dir=, logger= and trainer.accelerator= are as in
`gbench train`; any other setting would make it another experiment. Runs that are there count; the
same command goes on where it stopped. Exit code 1 if a run failed or a figure came out worse.
"""

from __future__ import annotations

import argparse
import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.cli.arguments import add_config_dir, add_runs_setting
from gbench.cli.screen import screen
from gbench.errors import UserError, unknown
from gbench.quotes import unquoted

if TYPE_CHECKING:
    from gbench.board.reproduction import Reproduction
    from gbench.config.compose import Config

SUMMARY = "run a paper's experiment and compare with its figure"
TO_SHORTEN = ("seeds", "folds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT | KEY=VALUE")
    add_runs_setting(parser)
    add_config_dir(parser)
    parser.add_argument("--list", action="store_true", help="show the experiments, run nothing")
    parser.add_argument(
        "--report", nargs="?", const="-", metavar="FILE", help="a table of all that was reproduced"
    )


def run(args: argparse.Namespace) -> int:
    patterns = [word for word in args.words if "=" not in word]
    settings = [word for word in args.words if "=" in word]
    if args.report is not None:
        if "=" in args.report:  # no file: the setting that stands behind --report
            args.report, settings = "-", [*settings, args.report]
        return write_report(args.report, settings)
    from gbench.choices import choices

    names = chosen(patterns, choices("experiment", args.config_dir))
    if args.list:
        return show_list(names)
    if not patterns:
        raise UserError("name an experiment, such as gcn-cora; gbench reproduce --list shows all")
    return reproduce(names, settings, args.config_dir)


def chosen(patterns: Sequence[str], experiments: Mapping[str, Path]) -> list[str]:
    """The experiments that the names and patterns mean, each once; all without any."""
    names: dict[str, None] = {}
    for pattern in patterns or ["*"]:
        found = fnmatch.filter(experiments, pattern)
        if not found:
            raise unknown("experiment", pattern, experiments)
        names.update(dict.fromkeys(found))
    return [*names]


def show_list(names: Sequence[str]) -> int:
    """Each experiment with its dataset's protocol and the figure that its paper prints."""
    from rich.console import Console

    from gbench.board.published import published_by
    from gbench.figures import metric_text

    console = Console(highlight=False)
    width = max(map(len, names))
    for name in names:
        paper = published_by(name)
        said = "no published figure to compare with"
        if paper is not None:
            figure = metric_text(paper.metric, paper.mean, paper.std)
            said = f"{paper.metric} {figure}, n = {paper.n or '?'}; {paper.source}"
        console.print(f"{name:{width}}  [dim]{said}[/]", soft_wrap=True)
    return 0


def reproduce(names: Sequence[str], words: Sequence[str], config_dirs: Sequence[Path]) -> int:
    """Run what is missing of the experiments and print them beside their papers' figures."""
    from rich.console import Console

    from gbench.board import reproduction
    from gbench.board.reproduction_table import draw
    from gbench.folders import cache_dir
    from gbench.sweep.engine import run_all
    from gbench.sweep.words import take_options

    console = Console(stderr=True, highlight=False)
    options, settings = take_options(words)
    by_name = {name: runs_of(name, settings, config_dirs) for name in names}
    without = without_data(by_name)
    left_out = {name for names in without.values() for name in names}
    configs = [config for name in names if name not in left_out for config in by_name[name]]
    reasons = [f"{', '.join(names)}: {reason}" for reason, names in without.items()]
    if not configs:
        raise UserError("\n".join(reasons))
    for reason in reasons:
        console.print(f"left out: {reason}", style="yellow", soft_wrap=True, markup=False)
    outcomes = run_all(configs, options=options, console=console)
    for outcome in outcomes:
        if outcome.state == "failed":
            console.print(f"failed: {outcome.folder}: {outcome.error}", style="red", markup=False)
    records = [o.record for o in outcomes if o.record is not None]
    found = reproduction.reproductions(records, cache_dir(configs[0]["cache_dir"]))
    draw(found, screen())
    if outcomes.stopped_by:
        console.print("Stopped. The same command goes on.", style="yellow")
    return outcomes.exit_code or int(bool(reasons) or any(map(came_out_worse, found)))


def came_out_worse(result: Reproduction) -> bool:
    """Whether our figure is worse than the paper's, beyond what chance explains."""
    if result.verdict is None or result.published is None:
        return False
    return result.verdict.word == ("below" if result.published.direction == "max" else "above")


def runs_of(name: str, settings: Sequence[str], config_dirs: Sequence[Path]) -> list[Config]:
    """The configs of all runs that the paper averages over, or of as many as `settings` says."""
    from gbench.board.published import published_by
    from gbench.board.reproduction import repetitions
    from gbench.config.compose import compose
    from gbench.sweep.points import compose_all

    own = [word for word in settings if word.partition("=")[0] not in TO_SHORTEN]
    shortened = {word.partition("=")[0]: word for word in settings if word not in own}
    config = compose([f"experiment={name}", *own], config_dirs)
    if config["experiment"] != name:
        raise UserError(
            f"{' '.join(own)}: with other settings it is not {name} any more: "
            f"gbench train experiment={name} {' '.join(own)} runs that"
        )
    data = config["data"]
    if "folds" in shortened and data["num_folds"] == 1:
        raise UserError(f"{shortened['folds']}: {data['name']} has one split; shorten with seeds=")
    words = {
        word.partition("=")[0]: word for word in repetitions(published_by(name), data["num_folds"])
    }
    return compose_all([f"experiment={name}", *own, *{**words, **shortened}.values()], config_dirs)


def without_data(by_name: Mapping[str, Sequence[Config]]) -> dict[str, list[str]]:
    """The experiments whose dataset is not at hand and cannot be had, by the reason."""
    from gbench import folders
    from gbench.data.files import cache, named, raw
    from gbench.data.spec import DataCard

    reasons: dict[Path, str] = {}  # by the prepared file: splits of a dataset may have own files
    without: dict[str, list[str]] = {}
    for name, configs in by_name.items():
        config = configs[0]
        card = DataCard.from_config(config["data"])
        data_dir = folders.data_dir(config["data_dir"])
        path = cache.path_of(card, folders.cache_dir(config["cache_dir"]))
        if path not in reasons:
            reasons[path] = ""
            try:
                if named.missing(card, data_dir) and not path.exists():
                    raw.obtain(card, data_dir, config["data_source"])
            except UserError as error:
                reasons[path] = str(error)
        if reasons[path]:
            without.setdefault(reasons[path], []).append(name)
    return without


def write_report(target: str, settings: Sequence[str]) -> int:
    """Everything reproduced below the runs folder as one table."""
    from gbench.board import reproduction_table
    from gbench.board.reproduction import reproductions
    from gbench.folders import cache_dir, written_whole
    from gbench.records import find as store

    given = {"runs_dir": "runs", "cache_dir": ""}
    for word in settings:
        key, _, value = word.partition("=")
        if key not in given:
            raise UserError(f"{word}: a report takes runs_dir=FOLDER and cache_dir=FOLDER alone")
        given[key] = unquoted(value)
    folder = given["runs_dir"]
    records, _ = store.find([folder])
    found = reproductions(records, cache_dir(given["cache_dir"]))
    if not found:
        raise UserError(f"{folder}: no run there is of a published experiment, unchanged")
    text = reproduction_table.markdown(found)
    if target == "-":
        print(text, end="")
        return 0
    path = Path(target)
    if path.suffix not in (".md", ".html"):
        raise UserError(f"--report {target}: a report is written as .md or .html")
    try:
        with written_whole(path) as file:
            page = reproduction_table.html(found) if path.suffix == ".html" else text
            file.write(page.encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return 0
