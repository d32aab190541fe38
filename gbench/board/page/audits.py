"""Audits as one HTML page: a section for each dataset, definitions beside its facts, no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from gbench import __version__
from gbench.audits.blocks import Block, blocks, skipped, title_of
from gbench.audits.fact import Audit
from gbench.board.overview import HEADS, MEANING, overview
from gbench.data.spec import DataCard
from gbench.figures import counted


def html(
    cards: Sequence[DataCard], audits: Sequence[Audit], definitions: Sequence[Mapping[str, str]]
) -> str:
    """The whole page; its content security policy allows its style and nothing else."""
    style = files(__package__).joinpath("page.css").read_text("utf-8")
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'"
    sections = "".join(map(_section, audits, definitions))
    if len(audits) > 1:
        rows = [(row[0], row[1:]) for row in overview(cards, audits)]
        table = _table(Block(MEANING, HEADS[1:], rows), "data")
        sections = f'<section class="board">{table}</section>\n{sections}'
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>gbench data audit</title>
<style>{style}</style>
</head>
<body>
<header class="top"><h1>What scores are worth</h1>
<p>Facts of {counted(len(audits), "dataset")}. gbench {escape(__version__)}, {made}.</p></header>
<main>{sections}</main>
</body>
</html>
"""


def _section(audit: Audit, definitions: Mapping[str, str]) -> str:
    tables = "".join(map(_table, blocks(audit)))
    notes = "".join(f"<li>{escape(note)}</li>" for note in skipped(audit))
    told = "".join(
        f"<li><b>{escape(name)}</b>: {escape(text)}</li>" for name, text in definitions.items()
    )
    return (
        f'<section class="board"><header><h2>{escape(audit.dataset)}</h2>'
        f"<p>{escape(title_of(audit).partition(', ')[2])}</p></header>{tables}"
        f"{f'<ul>{notes}</ul>' if notes else ''}"
        f"<details><summary>Definitions</summary><ul>{told}</ul></details></section>\n"
    )


def _table(block: Block, first: str = "fact") -> str:
    heads = "".join(f'<th scope="col">{escape(head or "value")}</th>' for head in block.columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>\n"
        for name, cells in block.rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(block.title)}</caption><thead><tr>'
        f'<th scope="col" class="text">{first}</th>{heads}</tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )
