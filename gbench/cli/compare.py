"""Show what tells runs apart: their settings, their results, their curves, what they ran on.

gbench compare cora-gcn-1a2b3c4d5e-s0 cora-gcn-6f7a8b9c0d-s0
gbench compare runs/A other/B more/C --json
gbench compare cora-gcn-1a2b3c4d5e cora-sgc-6f7a8b9c0d --items

RUN is a run's folder, or (the start of) its name in runs/. One that has not finished has settings
and a curve. Differences are to the first run.

--items asks both for the test part again and compares them item by item: McNemar's test where an
answer is right or wrong, a paired bootstrap of the metric, and the t test over runs. There RUN may
also be a setting, a run's name without its seed: all its runs, held against those of the same
seeds and folds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gbench.cli.arguments import add_runs
from gbench.cli.screen import screen
from gbench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from gbench.records.compare import Comparison

SUMMARY = "show how runs differ: settings, results, curves"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="RUN")
    add_runs(parser)
    parser.add_argument("--items", action="store_true", help="item by item on the test part")
    parser.add_argument("--json", action="store_true", help="print all of it to stdout as JSON")


def run(args: argparse.Namespace) -> int:
    from gbench.records import compare
    from gbench.records import folder as runfolder

    if args.items:
        from gbench.cli.compare_items import run as by_items

        return by_items(args)
    if not 2 <= len(args.names) <= len(_LETTERS):
        raise UserError(f"gbench compare RUN RUN: give two to {len(_LETTERS)} runs")
    found = compare.compare(
        [compare.load(runfolder.find(name, args.runs_dir)) for name in args.names]
    )
    if args.json:
        print(_json(found))
        return 0
    _show(found, screen())
    return 0


def _json(found: Comparison) -> str:
    from gbench.records.record import finite

    document = {
        "runs": [run.name for run in found.runs],
        "same_protocol": found.same_protocol,
        "settings": found.settings,
        "code": found.code,
        "figures": found.figures,
        "surroundings": found.surroundings,
        "curves": [run.curve for run in found.runs],
    }
    return json.dumps(finite(document), indent=1, allow_nan=False)


def _show(found: Comparison, console: Console) -> None:
    from gbench.own_code.kept import CODE

    letters = _LETTERS[: len(found.runs)]
    for letter, run in zip(letters, found.runs, strict=True):
        state = "" if run.record is not None else "  (not finished)"
        console.print(f"[bold]{letter}[/]  {run.name}{state}", soft_wrap=True)
    if not found.same_protocol:
        console.print("Their metrics do not compare: not one dataset, split or selection.")
    _table(console, "settings", letters, found.settings, "the same")
    if any("code" in run.config for run in found.runs):
        short = {name: [said and said[:10] for said in row] for name, row in found.code.items()}
        _table(console, "code of your own", letters, short, "the same")
        folders = [f"{run.folder / CODE}" for run in found.runs]
        if found.code:
            console.print(f"diff -r {folders[0]} {folders[1]}", style="dim", soft_wrap=True)
    _table(console, "results", letters, _figure_texts(found), "none: no run has finished")
    _table(console, "ran on", letters, found.surroundings, "the same versions, commit and device")
    _curves(found, console, letters)


def _table(
    console: Console, title: str, letters: str, rows: Mapping[str, Sequence[Any]], nothing: str
) -> None:
    """Rows of a key and a value per run, on one line each unless a value is very long."""
    from rich.table import Table

    if not rows:
        console.print(f"\n[bold]{title}[/]  {nothing}")
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("")
    for letter in letters:
        table.add_column(letter, justify="right", overflow="fold")
    for key, values in rows.items():
        table.add_row(key, *map(_text, values))
    console.print()
    console.print(table)


def _text(value: Any) -> Any:
    from rich.text import Text

    text = value if isinstance(value, str) else "–" if value is None else json.dumps(value)
    return Text(text if text.isprintable() else repr(text))


def _figure_texts(found: Comparison) -> dict[str, list[str]]:
    """Each figure as people read it, and from the second run on its difference to the first."""
    from gbench.figures import (
        UNKNOWN,
        count_text,
        memory_text,
        metric_text,
        seconds_text,
        unit,
    )
    from gbench.metrics import is_percent
    from gbench.records.compare import also_key, also_names

    first = next((run.record for run in found.runs if run.record is not None), None)
    if first is None:
        return {}
    judged = {part: (part, first.metric) for part in ("test", "valid")} | {
        also_key(name, part): (part, name)
        for name in also_names(found.runs)
        for part in ("test", "valid")
    }
    styles: dict[str, tuple[str, Callable[[Any], str]]] = {
        **{
            key: (f"{part} {name}{unit(name)}", partial(metric_text, name))
            for key, (part, name) in judged.items()
        },
        "best_epoch": ("tested epoch", count_text),
        "epochs": ("epochs", count_text),
        "num_parameters": ("parameters", count_text),
        "seconds_per_epoch": ("time per epoch", seconds_text),
        "seconds_total": ("time in all", seconds_text),
        "items_per_second": (f"{first.item}/s", count_text),
        "peak_memory_mib": ("peak memory", memory_text),
    }
    rows = {}
    for key, (title, style) in styles.items():
        values = found.figures[key]
        cells = [UNKNOWN if value is None else style(value) for value in values]
        for place in range(1, len(values)):
            if values[0] is None or values[place] is None or values[0] == values[place]:
                continue
            if key in judged:
                scale = 100 if is_percent(judged[key][1]) else 1
                cells[place] += f" ({scale * (values[place] - values[0]):+.4g})"
            elif values[0]:
                cells[place] += f" (×{values[place] / values[0]:.3g})"
        rows[title] = cells
    return rows


def _curves(found: Comparison, console: Console, letters: str) -> None:
    """The validation metric of each epoch, all runs on one pair of axes."""
    from rich.text import Text

    from gbench.metrics import is_percent
    from gbench.records import curves

    metric = found.runs[0].config["data"]["metric"]
    scale, unit = (100, " %") if is_percent(metric) else (1, "")
    drawn = {
        letter: [scale * value for value in run.curve]
        for letter, run in zip(letters, found.runs, strict=True)
        if run.curve
    }
    missing = [letter for letter in letters if letter not in drawn]
    lines = curves.plot(drawn, width=min(console.width - 8, 100), height=12)
    console.print(f"\n[bold]valid {metric}{unit}[/]" + ("" if lines else "  no curves were kept"))
    colours = dict(zip(letters, _COLOURS, strict=False))
    for line in lines:
        text = Text(line)
        for letter in drawn:
            text.highlight_words([letter], style=f"bold {colours.get(letter, '')}")
        console.print(text, soft_wrap=True)
    if missing and lines:
        console.print(f"without a curve: {', '.join(missing)}")
