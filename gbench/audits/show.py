"""Audits as text: for a terminal, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gbench.audits.blocks import Block, blocks, skipped, title_of
from gbench.audits.fact import Audit

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS = ("dataset", "split", "fold", "fact", "value", "unit")
_WIDEST = 64  # letters of a value on a terminal
Definitions = Mapping[str, str]


def draw(audit: Audit, console: Console, definitions: Definitions | None = None) -> None:
    """Print one audit as aligned lines; long lists of numbers are cut."""
    from rich.text import Text

    said = Text(title_of(audit) + "\n", "bold")
    for block in blocks(audit):
        said.append(block.title + "\n", "bold dim")
        for line in _lines(block):
            said.append(f"  {line}\n")
    for note in skipped(audit):
        said.append(f"  {note}\n", "dim")
    if definitions is not None:
        said.append("definitions\n", "bold dim")
        for name, sentence in definitions.items():
            said.append(f"  {name}: {sentence}\n", "dim")
    console.print(said, end="", soft_wrap=True, highlight=False)


def _lines(block: Block) -> list[str]:
    rows = [(name, [_cut(cell) for cell in cells]) for name, cells in block.rows]
    if len(block.columns) > 1:
        rows.insert(0, ("", list(block.columns)))
    width = max(len(name) for name, _ in rows)
    widths = [
        max(len(cells[i]) for _, cells in rows if len(cells[i]) <= 12 or len(cells) == 1)
        for i in range(len(block.columns))
    ]
    if len(widths) == 1:
        return [f"{name:{width}}  {cells[0]}" for name, cells in rows]
    return [
        f"{name:{width}}  "
        + "  ".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)).rstrip()
        for name, cells in rows
    ]


def _cut(cell: str) -> str:
    return cell if len(cell) <= _WIDEST else cell[: _WIDEST - 4].rsplit(" ", 1)[0] + " ..."


def markdown(audits: Sequence[Audit], definitions: Sequence[Definitions]) -> str:
    """A heading and tables for each audit, with the definitions of its facts below."""
    texts = []
    for audit, known in zip(audits, definitions, strict=True):
        lines = [f"## {_escaped(title_of(audit))}"]
        for block in blocks(audit):
            heads = [head or "value" for head in block.columns]
            lines += ["", f"### {_escaped(block.title)}", "", _pipes(["fact", *heads])]
            lines.append("| --- |" + " ---: |" * len(heads))
            lines += [_pipes([name, *cells]) for name, cells in block.rows]
        notes = [*skipped(audit), *(f"{name}: {sentence}" for name, sentence in known.items())]
        texts.append("\n".join([*lines, "", *(f"- {_escaped(note)}" for note in notes)]))
    return "\n\n".join(texts) + "\n"


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    """Without what Markdown would read as a cell's end, emphasis, code, a link or HTML."""
    return "".join(f"\\{c}" if c in "\\|*_`<>" else c for c in text)


def csv_text(audits: Sequence[Audit]) -> str:
    """One line for each fact, in full precision; the fold is empty for facts of no one fold."""
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for audit in audits:
        writer.writerows(audit.rows())
    return sheet.getvalue()


def json_text(audits: Sequence[Audit]) -> str:
    """A list of one object for each fact; fold is null for facts of no one fold."""
    rows = [json.dumps(row, allow_nan=False) for audit in audits for row in audit.rows()]
    return "[\n" + ",\n".join(rows) + "\n]\n"
