"""Leaderboard tables as lines on a terminal, in its width."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from gbench.board.columns import Shown, columns
from gbench.board.notes import footnotes, is_best, lines, sources, title
from gbench.board.tables import Row, Table
from gbench.board.worth_text import worth_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_GAP = "  "


def draw(tables: Sequence[Table], console: Console) -> None:
    """Print the tables in the console's width; columns that matter least give way first.

    The best row is bold unless another cannot be told apart from it, published rows are dim. The
    lines are laid out here: rich's own table takes 0.8 ms a row, which is a second for 1,000.
    """
    from rich.text import Text

    for position, table in enumerate(tables):
        text = Text("\n" if position else "")
        all_columns = columns(table)
        shown, widths = _fit(all_columns, console.width)
        _append(text, title(table), "bold", console.width)
        if told := worth_line(table):
            _append(text, told, "", console.width, "  ")
        for line in _head(shown, widths):
            text.append(line + "\n", "dim")
        for row, cells in zip(
            lines(table), zip(*(column.cells for column in shown), strict=True), strict=True
        ):
            style = "bold" if is_best(row) else "" if isinstance(row, Row) else "dim"
            for line in _wrapped(shown, widths, cells):
                text.append(line + "\n", style)
        kept = {column.key for column in shown}
        hidden = [column.head for column in all_columns if column.key not in kept]
        notes = [*footnotes(table), *sources(table)]
        if hidden:
            notes.append(f"not shown at this width: {', '.join(hidden)}")
        for note in notes:
            _append(text, note, "dim", console.width, "  ")
        console.print(text, end="", soft_wrap=True, highlight=False)


def _append(text: Text, words: str, style: str, width: int, indent: str = "") -> None:
    lines = _wrap(words.replace(" %", "\xa0%"), width - len(indent))  # a number keeps its unit
    text.append(f"\n{indent}".join(lines).replace("\xa0", " ") + "\n", style)


def _fit(all_columns: list[Shown], width: int) -> tuple[list[Shown], list[int]]:
    """The columns for this width, in order, and the width of each."""
    narrow = {column.key: _narrow(column) for column in all_columns}
    shown = [column for column in all_columns if column.priority == 0]

    def left(shown: list[Shown]) -> int:
        return width - sum(narrow[c.key] for c in shown) - len(_GAP) * (len(shown) - 1)

    for column in sorted(all_columns, key=lambda column: column.priority):
        if column.priority:
            if left([*shown, column]) < 0:
                break
            shown.append(column)
    spare = max(0, left(shown))
    for column in shown:
        if column.wraps:
            more = min(spare, column.width - narrow[column.key])
            narrow[column.key] += more
            spare -= more
    kept = {column.key for column in shown}
    in_order = [column for column in all_columns if column.key in kept]
    return in_order, [narrow[column.key] for column in in_order]


def _narrow(column: Shown) -> int:
    if not column.wraps:
        return column.width
    longest = max(len(word) for cell in (column.head, *column.cells) for word in cell.split(" "))
    return max(longest, min(column.width, column.wraps))


def _head(shown: list[Shown], widths: list[int]) -> list[str]:
    rule = _GAP.join("─" * width for width in widths)
    return [_line(shown, widths, [column.head for column in shown]), rule]


def _wrapped(shown: list[Shown], widths: list[int], cells: Sequence[str]) -> list[str]:
    """A row takes as many lines as its words need."""
    parts = [
        _wrap(cell, width) if column.wraps else [cell]
        for cell, width, column in zip(cells, widths, shown, strict=True)
    ]
    return [_line(shown, widths, part) for part in zip_longest(*parts, fillvalue="")]


def _line(shown: list[Shown], widths: list[int], cells: Sequence[str]) -> str:
    padded = (
        cell.rjust(width) if column.right else cell.ljust(width)
        for cell, width, column in zip(cells, widths, shown, strict=True)
    )
    return _GAP.join(padded).rstrip()


def _wrap(text: str, width: int) -> list[str]:
    wrapped = [""]
    for word in text.split(" "):
        if wrapped[-1] and len(wrapped[-1]) + 1 + len(word) > width:
            wrapped.append(word)
        else:
            wrapped[-1] = f"{wrapped[-1]} {word}".strip()
    return wrapped
