"""One table of the page: a section of HTML that reads well before any script has run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from html import escape

from gbench.board.columns import Shown, columns
from gbench.board.notes import Line, footnotes, is_best, lines, plain, protocol_text, sources
from gbench.board.page.pareto import front
from gbench.board.published import Published
from gbench.board.tables import Row, Table
from gbench.board.worth_text import worth_line
from gbench.figures import unit
from gbench.metrics import is_percent

_LONG = 40  # rows from which on a table scrolls by itself, so that its head stays in sight
_COSTS = {"epoch": ("seconds", "time per epoch"), "parameters": ("count", "parameters")}
Figures = Mapping[str, Sequence[float]]  # key of a column: its exact figures, line by line


def section(number: int, table: Table, is_open: bool, more: str = "") -> str:
    """The table, its footnotes and the places where scripts draw its plots; then `more`."""
    known = {column.key: column for column in columns(table)}
    figures = {key: column.numbers for key, column in known.items()}
    rows = _rows(table, known, figures)
    protocol = protocol_text(table)
    identity = hashlib.sha256(f"{table.data}: {protocol}".encode()).hexdigest()[:10]
    facts = {
        "table": number,
        "data": plain(table.data),
        "metric": plain(table.metric),
        "unit": unit(table.metric),
        "format": "percent" if is_percent(table.metric) else "number",
        "folds": table.num_folds,
        **_band(table),
    }
    attributes = " ".join(f'data-{key}="{escape(str(value))}"' for key, value in facts.items())
    scroll = "scroll long" if len(rows) > _LONG else "scroll"
    body = "".join(rows)
    heads = "".join(_head(table, of) for key, of in known.items() if key != "settings")
    told = worth_line(table)
    worth = f'<p class="worth">{escape(plain(told))}</p>' if told else ""
    notes = "".join(f"<li>{escape(plain(note))}</li>" for note in footnotes(table))
    cited = "".join(f"<li>{escape(plain(source))}</li>" for source in sources(table))
    return f"""\
<section class="board" id="t-{identity}" {attributes} aria-labelledby="h-{identity}">
<header><h2 id="h-{identity}">{escape(plain(table.data))}</h2><p>{escape(plain(protocol))}</p>\
{worth}</header>
<div class="{scroll}" tabindex="0" role="region" aria-labelledby="h-{identity}">
<table><thead><tr>{heads}</tr></thead><tbody>
{body}</tbody></table></div>
<ul class="foot">{notes}{cited}</ul>
{_plots(table, figures, is_open)}{more}</section>
"""


def _band(table: Table) -> dict[str, object]:
    """What the plots shade: from the best floor to the ceiling, as far as they are known."""
    ceiling = table.worth and table.worth.ceiling
    band: dict[str, object] = {}
    if table.bar:
        band |= {"floor": f"{table.bar.mean:.10g}", "floor-name": table.bar.name}
    if ceiling:
        band |= {"ceiling": f"{ceiling.mean:.10g}"}
    return band


def _head(table: Table, column: Shown) -> str:
    best = "descending" if table.direction == "max" else "ascending"
    order = best if column.order == "best" else column.order
    kind = "" if column.right else ' class="text"'
    head = escape(plain(column.head))
    return f'<th scope="col" data-key="{escape(column.key)}" data-first="{order}"{kind}>{head}</th>'


def _rows(table: Table, known: Mapping[str, Shown], figures: Figures) -> list[str]:
    nothing = [math.nan] * len(figures["test"])
    on_front = {
        cost: front(figures.get(cost, nothing), figures["test"], table.direction) for cost in _COSTS
    }
    shown = [(column, figures[key]) for key, column in known.items() if key != "settings"]
    reach, settings = figures.get("95", nothing), known.get("settings")
    rows = []
    for place, line in enumerate(lines(table)):
        costs = " ".join(cost for cost, places in on_front.items() if place in places)
        facts = {"name": plain(line.model), "front": costs}
        if isinstance(line, Row):
            facts |= {"row": str(line.rank - 1)}
            facts |= {"settings": settings.cells[place]} if settings else {}
            kind = "tied" if line.tied else "best" if is_best(line) else ""
        else:
            kind = "published"
        told = "".join(f' data-{key}="{escape(fact)}"' for key, fact in facts.items() if fact)
        cells = "".join(
            _model(line, column.cells[place], facts.get("settings", ""))
            if column.key == "model"
            else _cell(column, column.cells[place], values[place], reach[place])
            for column, values in shown
        )
        rows.append(f'<tr class="{kind}"{told}>{cells}</tr>\n')
    return rows


def _model(line: Line, text: str, settings: str) -> str:
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


def _cell(column: Shown, text: str, value: float, reach: float) -> str:
    if not column.right:
        return f'<td class="text">{escape(text)}</td>'
    exact = "" if math.isnan(value) else f"{value:.10g}"
    told = f' data-v="{exact}"'
    if column.key == "test":
        told += ' class="score"'
        told += f' data-interval="{reach:.4g}"' if math.isfinite(reach) else ""
    elif column.key == "#":
        told += ' class="rank"'
        text = text.removesuffix("=")  # the tag beside the model says it
    return f"<td{told}>{escape(text)}</td>"


def _plots(table: Table, figures: Figures, is_open: bool) -> str:
    """Empty until a script draws them, and only what there are points for."""
    better = "higher" if table.direction == "max" else "lower"
    drawn = "".join(
        f'<figure data-cost="{cost}" data-format="{form}" data-name="{name}"></figure>'
        for cost, (form, name) in _COSTS.items()
        if any(value > 0 for value in figures.get(cost, ()))  # the axis is logarithmic
    )
    opened = " open" * is_open
    band = " The band lies between the best floor and the ceiling." * bool(_band(table))
    costs = f"""\
<details class="costs" data-script hidden{opened}>\
<summary>Test {escape(plain(table.metric))} against cost</summary>
<div class="pair">{drawn}</div>
<p class="foot">Left is cheaper, {better} is better. Filled and joined: nothing in this table is \
better for less. Diamonds are published rows, bars are 95 % intervals.{band}</p></details>
"""
    return f"""\
{costs if drawn else ""}\
<details class="learning" data-script hidden{opened}><summary>Learning curves</summary>
<div class="pair"><figure data-series="valid"></figure><figure data-series="loss"></figure></div>
<fieldset class="choice"><legend class="unseen">runs to draw</legend></fieldset></details>
"""
