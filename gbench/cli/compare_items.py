"""`gbench compare A B --items`: what two rows differ by on the items of the test part."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from gbench.cli.screen import screen
from gbench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from gbench.paired.comparison import ItemComparison

SHOWN_PAIRS = 10


def run(args: argparse.Namespace) -> int:
    """Compare, and print for people or as JSON."""
    from gbench.console import console as progress
    from gbench.paired.rows import row
    from gbench.quiet import silence

    if len(args.names) != 2:
        raise UserError("gbench compare RUN RUN --items: give two runs, or settings")
    a, b = (row(name, args.runs_dir) for name in args.names)
    if not args.debug:
        silence()
    from gbench.paired.comparison import compare

    told = progress()
    found = compare(a, b, lambda text: told.print(text, style="dim") if told.is_terminal else None)
    if args.json:
        print(_json(found))
    else:
        _show(found, screen())
    return 0


def _json(found: ItemComparison) -> str:
    from gbench.records.record import finite

    record = found.a.first
    document = {
        "data": record.data,
        "split": record.split,
        "metric": record.metric,
        "direction": record.direction,
        "a": [folder.name for folder in found.a.folders.values()],
        "b": [folder.name for folder in found.b.folders.values()],
        "num_pairs": found.num_pairs,
        "num_items": found.num_items,
        "mcnemar": None
        if found.items is None
        else {
            **found.items._asdict(),
            "p": found.items.p,
            "pairs": [
                {
                    **{name: getattr(pair, name) for name in ("a", "b", "seed", "fold")},
                    **pair.table._asdict(),
                    "p": pair.table.p,
                }
                for pair in found.pairs
            ],
        },
        "bootstrap": found.interval._asdict(),
        "runs": {**found.runs._asdict(), "difference": found.difference_of_runs},
        "notes": found.notes,
    }
    return json.dumps(finite(document), indent=1, allow_nan=False)


def _show(found: ItemComparison, console: Console) -> None:
    from gbench.figures import counted, metric_text, unit

    record, interval = found.a.first, found.interval
    metric = record.metric
    for letter, row in (("A", found.a), ("B", found.b)):
        runs = "" if len(row.folders) == 1 else f"  ({counted(len(row.folders), 'run')})"
        console.print(f"[bold]{letter}[/]  {row.name}{runs}", soft_wrap=True, highlight=False)
    pairs = "" if found.num_pairs == 1 else f", {found.num_pairs} pairs of runs"
    better = "higher" if record.direction == "max" else "lower"
    console.print(
        f"{record.data}, {record.split} split: {counted(found.num_items, 'test item')}{pairs}; "
        f"{metric}, {better} is better",
        soft_wrap=True,
        highlight=False,
    )
    for note in found.notes:
        console.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
    rows = [
        (f"test {metric}{unit(metric)}", f"A {metric_text(metric, interval.a)}",
         f"B {metric_text(metric, interval.b)}"),
        ("A - B", _signed(metric, interval.difference),
         f"95 % over items {_signed(metric, interval.low)} to {_signed(metric, interval.high)}, "
         f"{interval.resamples:,} resamples, seed {interval.seed}"),
    ]  # fmt: skip
    if interval.undefined:
        rows.append(("", "", f"{interval.undefined:,} resamples left out: no {metric} in them"))
    rows.append(_t_test(found))
    console.print()
    _lines(rows, console)
    _mcnemar(found, console)
    console.print(
        "\nover items: how far the difference would move with other test items of this kind, the "
        "weights as they are.\n"
        "over runs: with other trainings (seeds, folds), as the leaderboard compares rows.",
        style="dim",
        soft_wrap=True,
    )


def _t_test(found: ItemComparison) -> tuple[str, str, str]:
    metric, test = found.a.first.metric, found.runs
    difference = _signed(metric, found.difference_of_runs)
    if test.test == "none":
        return "over runs", difference, "no test: it takes two runs of each"
    return "over runs", difference, f"p = {_p(test.p)}, {test.test} test"


def _mcnemar(found: ItemComparison, console: Console) -> None:
    """The tables of right and wrong."""
    if found.items is None:
        return
    from rich.table import Table

    shown = Table(title="right on items", title_justify="left", title_style="bold", box=None,
                  pad_edge=False)  # fmt: skip
    for name in ("", "both", "only A", "only B", "neither", "p"):
        shown.add_column(name, justify="right" if name else "left")
    listed = found.pairs if 1 < len(found.pairs) <= SHOWN_PAIRS else ()
    from gbench.paired.mcnemar import summed

    folds = found.a.first.num_folds > 1
    lines = [
        (f"seed {pair.seed}{f', fold {pair.fold}' * folds}", pair.table, _p(pair.table.p))
        for pair in listed
    ]
    about = "p: McNemar's exact test, that neither is right more often."
    if len(found.pairs) > 1:
        lines.append(("all pairs, summed", summed([pair.table for pair in found.pairs]), ""))
        about += " Each item once: A's where it is right in more of the pairs, B's where in fewer."
    name = "each item once" if len(found.pairs) > 1 else "test items"
    for line, table, p in [*lines, (name, found.items, _p(found.items.p))]:
        shown.add_row(line, *(f"{count:,}" for count in table), p)
    console.print()
    console.print(shown)
    console.print(about, style="dim", soft_wrap=True)


def _lines(rows: list[tuple[str, str, str]], console: Console) -> None:
    widths = [max(len(row[place]) for row in rows) for place in (0, 1)]
    for name, value, rest in rows:
        console.print(
            f"{name:{widths[0]}}  {value:>{widths[1]}}  {rest}", soft_wrap=True, highlight=False,
            markup=False,
        )  # fmt: skip


def _signed(metric: str, value: float) -> str:
    from gbench.figures import metric_text

    text = metric_text(metric, abs(value))
    return f"{'-' if value < 0 else '+'}{text}"


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"
