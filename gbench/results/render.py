"""Leaderboard tables for people: lines on a terminal and Markdown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from gbench.results.figures import (
    PERCENT,
    count_text,
    memory_text,
    metric_text,
    seconds_text,
)
from gbench.results.leaderboard import Row, Spread, Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_GAP = "  "
_SETTINGS_WIDTH = 26  # settings wrap down to this before a column of figures is dropped


class _Column(NamedTuple):
    head: str
    cells: list[str]
    needed: int  # 0 is always there; of the others the highest drops first
    right: bool = True

    @property
    def width(self) -> int:
        return max(map(len, (self.head, *self.cells)))


def draw(tables: Sequence[Table], console: Console) -> None:
    """Print the tables in the console's width; columns that matter least give way first.

    The lines are laid out here: rich's own table takes 0.8 ms a row, which is a second for 1,000.
    """
    from rich.text import Text

    for position, table in enumerate(tables):
        text = Text("\n" if position else "")
        columns = _columns(table)
        shown, settings_width = _fit(columns, console.width)
        _append(text, _title(table), "bold", console.width)
        for number, line in enumerate(_lines(shown, settings_width)):
            text.append(line + "\n", "dim" if number < 2 else "")
        for note in _footnotes(table):
            _append(text, note, "dim", console.width)
        hidden = [column.head for column in columns if column not in shown]
        if hidden:
            _append(text, f"not shown at this width: {', '.join(hidden)}", "dim", console.width)
        console.print(text, end="", soft_wrap=True, highlight=False)


def _append(text: Text, words: str, style: str, width: int) -> None:
    text.append("\n".join(_wrap(words, width)) + "\n", style)


def markdown(tables: Sequence[Table]) -> str:
    """One heading and one pipe table per table, with every column."""
    blocks = []
    for table in tables:
        columns = _columns(table)
        lines = [f"### {_title(table)}", "", _pipes([column.head for column in columns])]
        lines.append(_pipes(["---:" if column.right else "---" for column in columns]))
        lines += map(_pipes, zip(*(column.cells for column in columns), strict=True))
        notes = _footnotes(table)
        blocks.append("\n".join([*lines, *([""] if notes else []), *("- " + n for n in notes)]))
    return "\n\n".join(blocks) + "\n"


def _title(table: Table) -> str:
    better = "higher" if table.direction == "max" else "lower"
    chosen = {
        "best-validation": "best validation epoch",
        "last-epoch": "last epoch",
    }[table.selection]
    folds = f", {table.num_folds} folds" if table.num_folds > 1 else ""
    protocol = f"{table.metric} ({better} is better), {table.split} split{folds}, {chosen}"
    return _plain(f"{table.data}: {protocol}")


def _columns(table: Table) -> list[_Column]:
    rows = table.rows
    unit = " %" if table.metric in PERCENT else ""

    def metric(value: Spread) -> str:
        return metric_text(table.metric, value.mean, value.std)

    def column(head: str, needed: int, cell: Callable[[Row], str], right: bool = True) -> _Column:
        return _Column(head, [_plain(cell(row)) for row in rows], needed, right)

    columns = [
        column("#", 0, lambda row: str(row.rank)),
        column("model", 0, lambda row: row.model + _marks(row), right=False),
        _Column("settings", [_plain(text) for text in settings_texts(table)], 0, right=False),
        column(f"test{unit}", 0, lambda row: metric(row.test)),
        column(f"valid{unit}", 2, lambda row: metric(row.valid)),
        column("n", 1, lambda row: _runs(table, row)),
        column("parameters", 3, lambda row: count_text(row.num_parameters)),
        column("epoch", 4, lambda row: seconds_text(row.seconds_per_epoch)),
        column(f"{rows[0].item}/s", 7, lambda row: count_text(row.items_per_second)),
        column("memory", 5, lambda row: memory_text(row.peak_memory_mib)),
        column("when", 6, lambda row: _day(row.finished)),
        column("device", 8, lambda row: " + ".join(row.devices), right=False),
    ]
    return [column for column in columns if column.head != "settings" or any(column.cells)]


def _fit(columns: list[_Column], width: int) -> tuple[list[_Column], int]:
    """The columns for this width, in order, and the width left for the settings."""
    settings = next((column for column in columns if column.head == "settings"), None)
    wanted = 0
    if settings is not None:
        longest = max(
            len(word) for cell in settings.cells for word in [*cell.split(" "), "settings"]
        )
        wanted = max(longest, min(settings.width, _SETTINGS_WIDTH))
    shown = [column for column in columns if column.needed == 0]

    def taken(shown: list[_Column]) -> int:
        plain = sum(column.width for column in shown if column is not settings)
        return plain + wanted + len(_GAP) * (len(shown) - 1)

    for column in sorted(columns, key=lambda column: column.needed):
        if column.needed:
            if taken([*shown, column]) > width:
                break
            shown.append(column)
    if settings is not None:
        wanted = min(settings.width, max(wanted, wanted + width - taken(shown)))
    return [column for column in columns if column in shown], wanted


def _lines(columns: list[_Column], settings_width: int) -> list[str]:
    """Head, rule, and every row; a row takes as many lines as its settings need."""
    widths = [settings_width if c.head == "settings" else c.width for c in columns]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        )
        return _GAP.join(padded).rstrip()

    lines = [line([column.head for column in columns]), _GAP.join("─" * width for width in widths)]
    for cells in zip(*(column.cells for column in columns), strict=True):
        wrapped = [
            _wrap(cell, width) if column.head == "settings" else [cell]
            for cell, width, column in zip(cells, widths, columns, strict=True)
        ]
        lines += [line(parts) for parts in zip_longest(*wrapped, fillvalue="")]
    return lines


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def settings_texts(table: Table) -> list[str]:
    """`hidden_dim=64 lr=0.01` per row: the last part of a key unless two of the keys share it."""
    keys = {key for row in table.rows for key in row.settings}
    last = {key: key.removesuffix(".name").rpartition(".")[2] for key in keys}
    times = Counter(last.values())
    names = {key: last[key] if times[last[key]] == 1 else key for key in keys}
    return [
        " ".join(f"{names[key]}={_value(value)}" for key, value in row.settings.items())
        for row in table.rows
    ]


def _value(value: object) -> str:
    """As Hydra's command line takes it: 0.01, true, null, [1,2], gat."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if value == "":
        return "''"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _runs(table: Table, row: Row) -> str:
    """The number of runs; with folds, how many of them: `10 folds`, `3 of 10 folds`."""
    n = len(row.runs)
    if table.num_folds == 1:
        return str(n)
    folds = f"{row.folds} of {table.num_folds}" if row.folds < table.num_folds else f"{row.folds}"
    return f"{folds} folds" if n == row.folds else f"{n} runs, {folds} folds"


def _marks(row: Row) -> str:
    return ("*" if row.dirty else "") + ("†" if row.other_data else "")


def _footnotes(table: Table) -> list[str]:
    notes = []
    if any(row.dirty for row in table.rows):
        notes.append("* code with uncommitted changes in at least one run")
    if any(row.other_data for row in table.rows):
        notes.append("† at least one run saw other data than most of this table (fingerprint)")
    return notes


def _day(finished: str) -> str:
    return datetime.fromisoformat(finished).astimezone().date().isoformat()


def _plain(text: str) -> str:
    """Without what would break a line or command the terminal, from a record edited by hand."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
