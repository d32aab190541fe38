"""One table of the page: a section of HTML that reads well before any script has run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime
from html import escape

from gbench.board.columns import (
    Column,
    columns,
    footnotes,
    is_best,
    lines,
    plain,
    protocol_text,
    sources,
)
from gbench.board.page.pareto import front
from gbench.board.published import Published
from gbench.board.settings import settings_texts
from gbench.board.tables import Row, Table
from gbench.figures import PERCENT

_LONG = 40  # rows from which on a table scrolls by itself, so that its head stays in sight
_MOST_FIRST = frozenset({"n", "when", "nodes/s", "graphs/s", "links/s"})  # at the first click
_COSTS = {"epoch": ("seconds", "time per epoch"), "parameters": ("count", "parameters")}


def section(number: int, table: Table, is_open: bool) -> str:
    """The table, its footnotes and the places where scripts draw its plots."""
    shown = [column for column in columns(table) if column.head != "settings"]
    ordered = lines(table)
    figures = [_figures(line) for line in ordered]
    rows = _rows(table, ordered, figures, shown)
    protocol = protocol_text(table)
    identity = hashlib.sha256(f"{table.data}: {protocol}".encode()).hexdigest()[:10]
    unit = " %" if table.metric in PERCENT else ""
    facts = {
        "table": number,
        "data": plain(table.data),
        "metric": plain(table.metric),
        "unit": unit,
        "format": "percent" if unit else "number",
        "folds": table.num_folds,
    }
    attributes = " ".join(f'data-{key}="{escape(str(value))}"' for key, value in facts.items())
    scroll = "scroll long" if len(rows) > _LONG else "scroll"
    body = "".join(rows)
    heads = "".join(_head(table, column) for column in shown)
    notes = "".join(f"<li>{escape(plain(note))}</li>" for note in footnotes(table))
    cited = "".join(f"<li>{escape(plain(source))}</li>" for source in sources(table))
    return f"""\
<section class="board" id="t-{identity}" {attributes} aria-labelledby="h-{identity}">
<header><h2 id="h-{identity}">{escape(plain(table.data))}</h2><p>{escape(plain(protocol))}</p>\
</header>
<div class="{scroll}" tabindex="0" role="region" aria-labelledby="h-{identity}">
<table><thead><tr>{heads}</tr></thead><tbody>
{body}</tbody></table></div>
<ul class="foot">{notes}{cited}</ul>
{_plots(table, figures, is_open)}</section>
"""


def _head(table: Table, column: Column) -> str:
    key = _key(column)
    down = key in _MOST_FIRST or (key in ("test", "valid") and table.direction == "max")
    order = "descending" if down else "ascending"
    kind = "" if column.right else ' class="text"'
    head = escape(plain(column.head))
    return f'<th scope="col" data-key="{escape(key)}" data-first="{order}"{kind}>{head}</th>'


def _rows(
    table: Table,
    ordered: Sequence[Row | Published],
    figures: Sequence[dict[str, float]],
    shown: Sequence[Column],
) -> list[str]:
    settings = dict(zip((row.identity for row in table.rows), settings_texts(table), strict=True))
    on_front = {
        cost: front(
            [known.get(cost, math.nan) for known in figures],
            [known["test"] for known in figures],
            table.direction,
        )
        for cost in _COSTS
    }
    rows = []
    for place, (line, known) in enumerate(zip(ordered, figures, strict=True)):
        costs = " ".join(cost for cost, places in on_front.items() if place in places)
        facts = {"name": plain(line.model), "front": costs}
        if isinstance(line, Row):
            facts |= {"row": str(line.rank - 1), "settings": plain(settings[line.identity])}
            kind = "tied" if line.tied else "best" if is_best(line) else ""
        else:
            kind = "published"
        told = "".join(f' data-{key}="{escape(fact)}"' for key, fact in facts.items() if fact)
        cells = "".join(
            _model(line, column.cells[place], facts.get("settings", ""))
            if column.head == "model"
            else _cell(column, column.cells[place], known)
            for column in shown
        )
        rows.append(f'<tr class="{kind}"{told}>{cells}</tr>\n')
    return rows


def _figures(line: Row | Published) -> dict[str, float]:
    """What the page sorts and draws by: the exact figures, by the key of their column."""
    if isinstance(line, Published):
        known = {"test": line.mean, "valid": line.valid.mean if line.valid else None}
        known |= {"n": line.n, "parameters": line.num_parameters}
    else:
        known = {
            "#": line.rank,
            "test": line.test.mean,
            "95": line.interval,
            "valid": line.valid.mean,
            "n": len(line.runs),
            "parameters": line.num_parameters,
            "trials": line.trials,
            "epoch": line.seconds_per_epoch,
            f"{line.item}/s": line.items_per_second,
            "memory": line.peak_memory_mib,
            "when": datetime.fromisoformat(line.finished).timestamp(),
        }
    return {key: math.nan if value is None else value for key, value in known.items()}


def _key(column: Column) -> str:
    return column.head.partition(" ")[0]


def _model(line: Row | Published, text: str, settings: str) -> str:
    model = plain(line.model)
    sign = text.removeprefix(model).strip()
    name = escape(model) + (f"<sup>{escape(sign)}</sup>" if sign else "")
    if isinstance(line, Published):
        name += ' <span class="tag">published</span>'
    elif line.tied:
        name += ' <span class="tag">= tie</span>'
    # on a phone a line may break behind =
    name += f"<small>{escape(settings).replace('=', '=<wbr>')}</small>" if settings else ""
    return f'<th scope="row">{name}</th>'


def _cell(column: Column, text: str, known: dict[str, float]) -> str:
    key = _key(column)
    if not column.right:
        return f'<td class="text">{escape(text)}</td>'
    value = known.get(key, math.nan)
    exact = "" if math.isnan(value) else f"{value:.10g}"
    told = f' data-v="{exact}"'
    if key == "test":
        reach = known.get("95", math.nan)
        told += ' class="score"'
        told += f' data-interval="{reach:.4g}"' if math.isfinite(reach) else ""
    elif key == "#":
        told += ' class="rank"'
        text = text.removesuffix("=")  # the tag beside the model says it
    return f"<td{told}>{escape(text)}</td>"


def _plots(table: Table, figures: Sequence[dict[str, float]], is_open: bool) -> str:
    """Empty until a script draws them, and only what there are points for."""
    better = "higher" if table.direction == "max" else "lower"
    drawn = "".join(
        f'<figure data-cost="{cost}" data-format="{form}" data-name="{name}"></figure>'
        for cost, (form, name) in _COSTS.items()
        if any(known.get(cost, math.nan) > 0 for known in figures)  # the axis is logarithmic
    )
    opened = " open" * is_open
    costs = f"""\
<details class="costs" data-script hidden{opened}>\
<summary>Test {escape(plain(table.metric))} against cost</summary>
<div class="pair">{drawn}</div>
<p class="foot">Left is cheaper, {better} is better. Filled and joined: nothing in this table is \
better for less. Diamonds are published rows, bars are 95 % intervals.</p></details>
"""
    return f"""\
{costs if drawn else ""}\
<details class="learning" data-script hidden{opened}><summary>Learning curves</summary>
<div class="pair"><figure data-series="valid"></figure><figure data-series="loss"></figure></div>
<fieldset class="choice"><legend class="unseen">runs to draw</legend></fieldset></details>
"""
