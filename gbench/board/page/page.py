"""The leaderboard as one HTML page: tables, plots and learning curves, no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from gbench import __version__
from gbench.board.notes import plain
from gbench.board.page.board import section
from gbench.board.page.curves import RUNS_OF_A_ROW, embedded
from gbench.board.page.mistakes import mistakes
from gbench.board.tables import Table
from gbench.figures import counted

_SCRIPTS = ("plot.js", "table.js", "curves.js")
_LIVE = "live.js"


def html(
    tables: Sequence[Table],
    runs_dirs: Sequence[str | Path],
    notes: Sequence[str] = (),
    version: str | None = None,
) -> str:
    """The whole page; with a version it asks its server for a newer one.

    The content security policy allows this style and these scripts by their hashes and nothing
    else, so that neither a name in a record nor a slip of ours can fetch or run anything.
    """
    curves = embedded(tables, runs_dirs)
    style = _source("page.css")
    names = _SCRIPTS if version is None else (*_SCRIPTS, _LIVE)
    script = '"use strict";\n(() => {\n' + "\n".join(map(_source, names)) + "})();\n"
    allowed = "'none'" if version is None else "'self'"
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        f"connect-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )
    lines = [escape(plain(line)) for note in notes for line in note.splitlines()]
    told = f'<p class="notes">{"<br>".join(lines)}</p>' if notes else ""
    versioned = "" if version is None else f' data-version="{escape(version)}"'
    running = "" if version is None else '<p class="running" id="running"></p>'
    fullest = max(tables, key=lambda table: len(table.rows), default=None)
    sections = "".join(
        section(number, table, is_open=table is fullest, more=mistakes(table, runs_dirs))
        for number, table in enumerate(tables)
    )
    return f"""\
<!doctype html>
<html lang="en"{versioned}>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>gbench leaderboard</title>
<style>{style}</style>
</head>
<body>
<header class="top"><h1>gbench leaderboard</h1>
<p id="summary">{_summary(tables, curves)}</p>
<button type="button" id="theme" data-script hidden>Dark</button></header>
<form class="filters" role="search" data-script hidden>
<label class="wide">Filter<input type="search" id="text" placeholder="words that a row must have" \
autocomplete="off"></label>
<label>Dataset<select id="data"></select></label>
<label>Model<select id="model"></select></label>
<output id="count" aria-live="polite"></output></form>
<noscript><p class="notes">Without JavaScript there are the tables, but no sorting, no filters and \
no plots.</p></noscript>
{running}
<main id="content">{told}{sections}</main>
<script type="application/json" id="curves">{_json(curves)}</script>
<script>{script}</script>
</body>
</html>
"""


def _summary(tables: Sequence[Table], curves: Sequence[Any]) -> str:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if not tables:
        return f"Nothing to show yet. gbench {__version__}, {made}."
    num_rows = sum(len(table.rows) for table in tables)
    num_runs = sum(len(row.runs) for table in tables for row in table.rows)
    embedding = f"learning curves of {len(curves) or 'none'} of them"
    if 0 < len(curves) < num_runs:
        embedding += f": up to {RUNS_OF_A_ROW} runs of the best rows"
    settings, runs = counted(num_rows, "setting"), counted(num_runs, "run")
    return f"{settings}, {runs}, {embedding}. gbench {__version__}, {made}."


def _json(value: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")
