"""Leaderboard tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from gbench.board.columns import columns
from gbench.board.notes import footnotes, is_best, lines, sources, title
from gbench.board.tables import Row, Table
from gbench.board.worth_text import worth_line


def markdown(tables: Sequence[Table]) -> str:
    """One heading and one pipe table per table, with every column.

    The best test figure is bold unless another cannot be told apart from it; published rows are in
    italics.
    """
    blocks = []
    for table in tables:
        shown = columns(table)
        told = worth_line(table)
        text = [f"### {title(table)}", "", *([_escaped(told), ""] if told else [])]
        text.append(_pipes([column.head for column in shown]))
        text.append("| " + " | ".join("---:" if c.right else "---" for c in shown) + " |")
        for row, cells in zip(
            lines(table), zip(*(column.cells for column in shown), strict=True), strict=True
        ):
            styled = dict(zip((column.key for column in shown), map(_escaped, cells), strict=True))
            if is_best(row):
                styled["test"] = f"**{styled['test']}**"
            if not isinstance(row, Row):
                styled["model"] = f"*{styled['model']}*"
            text.append("| " + " | ".join(styled.values()) + " |")
        notes = [*footnotes(table), *sources(table)]
        blocks.append(
            "\n".join([*text, *([""] if notes else []), *("- " + _escaped(n) for n in notes)])
        )
    return "\n\n".join(blocks) + "\n"


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    """Without what Markdown would read as a cell's end, emphasis, code, a link or HTML."""
    return "".join(f"\\{c}" if c in "\\|*_`<>" else c for c in text)
