"""The report of `gbench errors` in a terminal, 80 letters wide where it has to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gbench.figures import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from gbench.predictions.report import Report

MOST_CLASSES = 10  # of a matrix; of more the most frequent mistakes are listed
MOST_SHOWN = 12  # mistakes, and items that every run gets wrong
BAR = 20  # letters of a share of 1
NAME = 14  # letters of a name in a table


def show(report: Report, console: Console) -> None:
    """Print all of it."""
    answers = "" if report.answers == report.items else f", {report.answers:,} answers"
    item = {"links": "pair"}.get(report.labels, "item")
    what = f"{report.split} of {report.data}, {report.protocol}: {counted(report.items, item)}"
    runs = counted(len(report.runs), "run")
    console.print(f"[bold]{', '.join(report.models)}[/]  {what}{answers}, {runs}", soft_wrap=True)
    if report.classes:
        _classes(report, console)
        _matrix(report, console)
    if report.tasks:
        _tasks(report, console)
    if report.residuals:
        _residuals(report, console)
    for group in report.groups:
        bins = [(b.label, b.items, b.score) for b in group.bins]
        _bars(console, f"{report.score_name} by {group.name}", bins, report.labels != "numbers")
        console.print(f"[dim]{group.name}: {group.definition}[/]")
    _calibration(report, console)
    _wrong(report, console)
    for note in report.notes:
        console.print(f"note: {note}", style="yellow", markup=False)


def _classes(report: Report, console: Console) -> None:
    table = _table("by class", ("class", *("answers", "said", "precision", "recall", "F1")))
    for c in report.classes:
        table.add_row(_short(c.name), f"{c.support:,}", f"{c.predicted:,}",
                      *(_percent(v) for v in (c.precision, c.recall, c.f1)))  # fmt: skip
    known = [c for c in report.classes if c.support]
    mean = [sum(values) / len(known) for values in zip(*(c[3:] for c in known), strict=True)]
    table.add_row("mean", "", "", *map(_percent, mean), style="dim")
    _print(console, table)


def _matrix(report: Report, console: Console) -> None:
    names = [c.name for c in report.classes]
    if len(names) <= MOST_CLASSES:
        width = 5 if len(names) > 6 else 8
        heads = [_short(name, width) for name in names]
        table = _table("labels (rows) and answers", ("", *heads))
        for name, row in zip(names, report.confusion, strict=True):
            total = sum(row)
            cells = [f"[bold]{n:,}[/]" if n * 2 > total else f"{n:,}" if n else "·" for n in row]
            table.add_row(_short(name), *cells)
        _print(console, table)
        return
    pairs = [
        (count, true, said)
        for true, row in zip(names, report.confusion, strict=True)
        for said, count in zip(names, row, strict=True)
        if true != said and count
    ]
    pairs.sort(key=lambda pair: -pair[0])
    table = _table(
        f"the most frequent of {len(pairs):,} mistakes", ("label", "answer", "answers"), (0, 1)
    )
    for count, true, said in pairs[:MOST_SHOWN]:
        table.add_row(_short(true, 30), _short(said, 30), f"{count:,}")
    _print(console, table)


def _tasks(report: Report, console: Console) -> None:
    heads = ("task", "labels", "of 1", "accuracy", "precision", "recall", "ROC-AUC", "AP")
    table = _table("by task", heads)
    for t in report.tasks[: 4 * MOST_SHOWN]:
        shares = (t.accuracy, t.precision, t.recall, t.rocauc, t.ap)
        numbers = (f"{t.labelled:,}", f"{t.positives:,}")
        table.add_row(_short(t.name), *numbers, *map(_percent, shares))
    _print(console, table)
    if left := len(report.tasks) - 4 * MOST_SHOWN:
        console.print(f"and {left:,} more: --json has them") if left > 0 else None


def _residuals(report: Report, console: Console) -> None:
    heads = ("answer - label", "labels", "mean |·|", "RMSE", "mean", "5 %", "median", "95 %")
    table = _table("errors", heads)
    for r in report.residuals:
        at = r.quantiles
        cells = (r.mean_absolute, r.root_mean_square, r.bias, at["0.05"], at["0.5"], at["0.95"])
        table.add_row(_short(r.name), f"{r.labelled:,}", *(f"{v:.4g}" for v in cells))
    _print(console, table)
    worst = ", ".join(f"{each['id']} ({each['error']:.3g})" for each in report.worst)
    console.print(f"largest: {worst}")


def _calibration(report: Report, console: Console) -> None:
    found = report.calibration
    if found is None:
        return
    rows = [b for b in found.bins if b.answers]
    table = _table(f"calibration: ECE {_percent(found.ece)} % over {len(found.bins)} bins",
                   ("confidence", "answers", "mean", "right", ""), (0, 4))  # fmt: skip
    for b in rows:
        span = f"{_percent(b.low)} to {_percent(b.high)}"
        table.add_row(span, f"{b.answers:,}", _percent(b.confidence), _percent(b.accuracy),
                      _bar(b.accuracy))  # fmt: skip
    _print(console, table)


def _wrong(report: Report, console: Console) -> None:
    if report.wrong is None:
        return
    who = "the run" if len(report.runs) == 1 else "every run"
    share = len(report.wrong) / max(1, report.items)
    console.print(
        f"\n[bold]wrong in {who}[/]  {len(report.wrong):,} of {report.items:,} items "
        f"({_percent(share)} %); {report.twins:,} of them equal an item of another label"
    )
    shown = sorted(report.wrong, key=lambda each: not each.has_twin)[:MOST_SHOWN]
    if not shown:
        return
    heads = (*(("graph",) if shown[0].graph else ()), "id", "label", "answers", "")
    table = _table("", heads, range(len(heads)))
    table.title = None
    for each in shown:
        place = (_short(each.graph),) if each.graph else ()
        said = _short(", ".join(each.answers), 30)
        twin = "has a twin of another label" if each.has_twin else ""
        table.add_row(*place, _short(each.id, 24), _short(each.true, 24), said, twin)
    console.print(table)
    if len(report.wrong) > len(shown):
        console.print(f"[dim]and {len(report.wrong) - len(shown):,} more: --json lists all[/]")


def _bars(
    console: Console, title: str, bins: Sequence[tuple[str, int, float]], is_share: bool
) -> None:
    table = _table(title, (title.partition(" by ")[2], "items", "", ""), (0, 3))
    most = max((score for _, _, score in bins), default=1.0)
    for label, items, score in bins:
        text = _percent(score) if is_share else f"{score:.4g}"
        table.add_row(label, f"{items:,}", text, _bar(score if is_share else score / (most or 1)))
    _print(console, table)


def _table(title: str, heads: Sequence[str], left: Sequence[int] = (0,)) -> Table:
    """A table whose columns hold numbers, but for those that are `left`, of words and bars."""
    from rich.table import Table

    table = Table(title=title, box=None, pad_edge=False)
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place in left else "right", no_wrap=True)
    return table


def _print(console: Console, table: Table) -> None:
    """The table below its title, which may be wider."""
    title, table.title = table.title, None
    console.print(f"\n[bold]{title}[/]")
    console.print(table)


def _short(text: str, letters: int = NAME) -> str:
    from rich.markup import escape

    text = text if text.isprintable() else repr(text)
    return escape(text if len(text) <= letters else text[: letters - 1] + "…")


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def _bar(share: float) -> str:
    return "█" * round(BAR * share) if math.isfinite(share) else ""
