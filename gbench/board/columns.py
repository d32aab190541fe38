"""The columns of a table: one list that every format reads.

A new one is an entry of COLUMNS, and a field of Row where its figure is new. It then stands in the
terminal, Markdown, CSV, JSON, LaTeX and on the page, which sorts by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal

from gbench.board import cells, tables
from gbench.board.notes import Line, lines, plain
from gbench.board.published import Published
from gbench.board.statistics import Spread
from gbench.board.tables import Row, Table
from gbench.board.worth_text import remark
from gbench.figures import count_text, memory_text, seconds_text, unit
from gbench.metrics import METRICS


def _number(value: Any) -> float:
    """What a value is sorted by; NaN where it is unknown or no number."""
    if isinstance(value, Spread):
        return value.mean
    return value if isinstance(value, int | float) else math.nan


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one column says of a line, exactly and as text, and where it stands.

    `key` and `head` may have `{unit}` and `{item}` in them, the table's " %" and "nodes".
    """

    key: str  # what a format and the page's scripts find it by
    head: str = ""  # without one it is in CSV and JSON alone
    sheet: str = ""  # its name in CSV and JSON, if that is not its key
    value: Callable[[Row], Any]  # exact
    paper: Callable[[Published], Any] | None = None  # the same of a published row
    text: Callable[[Any, Line, cells.Shared], str] = lambda value, line, shared: str(value)
    number: Callable[[Any], float] = _number  # what the page sorts a value by
    priority: int = 0  # 0 is always there; of the others the highest drops first on a terminal
    alone: int | None = None  # the priority in a table of one row, if it is another
    order: Literal["ascending", "descending", "best"] = "ascending"  # at the first click
    right: bool = True  # figures; what is set to the left is words
    wraps: int = 0  # letters to which a terminal may wrap it
    prints: bool = True  # on paper, which is not wide
    late: bool = False  # behind the others in CSV and JSON

    @property
    def name(self) -> str:
        """In CSV and JSON."""
        return self.sheet or self.key

    def needed(self, table: Table) -> int:
        """Its priority in this table."""
        return self.priority if self.alone is None or len(table.rows) > 1 else self.alone

    def of(self, line: Line) -> Any:
        """The exact value; None where a published row has none."""
        if isinstance(line, Row):
            return self.value(line)
        return None if self.paper is None else self.paper(line)

    def cell(self, value: Any, line: Line, shared: cells.Shared) -> str:
        """The value of a line as text."""
        if self.paper is None and not isinstance(line, Row):
            return ""
        return plain(self.text(value, line, shared))


@dataclass(frozen=True, kw_only=True)
class Shown(Column):
    """A column as one table has it, with what it says line by line."""

    cells: list[str]
    values: list[Any]  # exact

    @property
    def width(self) -> int:
        """Of its widest cell."""
        return max(map(len, (self.head, *self.cells)))

    @property
    def numbers(self) -> list[float]:
        """What the page sorts its lines by."""
        return [math.nan if value is None else self.number(value) for value in self.values]


def columns_of(table: Table) -> list[Column]:
    """Every column of a table, whether or not there is anything to say."""
    found: list[Column] = []
    for entry in COLUMNS:
        found += [entry] if isinstance(entry, Column) else entry(table)
    return found


def columns(table: Table) -> list[Shown]:
    """The columns that have anything to say; a published row leaves most of them empty."""
    ordered, shared = lines(table), cells.shared(table)
    facts = {
        "unit": unit(table.metric),
        "item": table.rows[0].item if table.rows else "",
    }
    shown = []
    for column in columns_of(table):
        if column.head:
            values = [column.of(line) for line in ordered]
            here = {
                "key": column.key.format(**facts),
                "head": column.head.format(**facts),
                "priority": column.needed(table),
                "values": values,
                "cells": [
                    column.cell(value, line, shared)
                    for value, line in zip(values, ordered, strict=True)
                ],
            }
            shown.append(Shown(**vars(column) | here))
    return [column for column in shown if any(column.cells)]


def _fact(name: str, is_papers: bool = False) -> Column:
    """A field of Row, or also of Published, that programs read: in CSV and JSON alone."""
    return Column(key=name, value=attrgetter(name), paper=attrgetter(name) if is_papers else None)


def _also(table: Table) -> list[Column]:
    """A column for each metric of `trainer.also`; a row has it where all its runs have told it.

    In a table of one epoch for all runs there are none: each run told them of its last one.
    """
    if table.selection == "best-mean-epoch":
        return []
    told = (run.also for row in table.rows for run in row.runs if run.also)
    names = dict.fromkeys(name for also in told for name in also)
    return [_told(name, part) for name in names for part in ("test", "valid")]


def _told(name: str, part: str) -> Column:
    is_less = name in METRICS and METRICS[name].direction == "min"
    key, head = (text.replace("{", "{{").replace("}", "}}") for text in (name, name + unit(name)))
    return Column(
        key=f"{part}_{key}",
        sheet=f"{part}_{name}",
        head=plain(head) if part == "test" else "",  # of validation in CSV and JSON alone
        value=lambda row: tables.told(row.runs, name, part),
        text=cells.metric_called(name),
        priority=4,
        order="ascending" if is_less else "descending",
    )


COLUMNS: tuple[Column | Callable[[Table], list[Column]], ...] = (
    Column(key="#", head="#", sheet="rank", value=lambda row: row.rank, text=cells.rank),
    Column(
        key="model",
        head="model",
        value=lambda row: row.model,
        paper=lambda row: row.model,
        text=cells.model,
        right=False,
        wraps=20,
    ),
    _fact("identity"),
    # what tells rows apart has to stand there; of one alone it gives way to figures
    Column(
        key="settings",
        head="settings",
        value=lambda row: row.settings,
        text=cells.settings,
        alone=6,
        right=False,
        wraps=26,
    ),
    _fact("experiment"),
    Column(
        key="test",
        head="test{unit}",
        value=lambda row: row.test,
        paper=lambda row: Spread(row.mean, row.std),
        text=cells.metric,
        order="best",
    ),
    Column(
        key="95",
        head="95 %",
        sheet="interval",
        value=lambda row: row.interval,
        text=cells.interval,
        priority=3,
    ),
    Column(
        key="worth", head="worth", sheet="remark", value=remark, paper=remark, right=False, wraps=16
    ),
    Column(
        key="valid",
        head="valid{unit}",
        value=lambda row: row.valid,
        paper=lambda row: row.valid or Spread(math.nan, None),
        text=cells.metric,
        priority=4,
        order="best",
    ),
    _also,
    Column(
        key="n",
        head="n",
        value=lambda row: len(row.runs),
        paper=lambda row: row.n,
        text=cells.runs,
        priority=2,
        order="descending",
        late=True,
    ),
    _fact("tied"),
    Column(
        key="against",
        head="against paper",
        sheet="verdict",
        value=lambda row: row.verdict,
        text=cells.verdict,
        priority=1,
        right=False,
    ),
    _fact("gap"),
    _fact("no_network"),
    _fact("against_floor", is_papers=True),
    _fact("beyond", is_papers=True),
    _fact("folds"),
    Column(
        key="parameters",
        head="parameters",
        sheet="num_parameters",
        value=lambda row: row.num_parameters,
        paper=lambda row: row.num_parameters,
        text=cells.parameters,
        priority=5,
    ),
    Column(
        key="trials", head="trials", value=lambda row: row.trials, text=cells.trials, priority=6
    ),
    Column(
        key="epoch",
        head="epoch",
        sheet="seconds_per_epoch",
        value=lambda row: row.seconds_per_epoch,
        text=cells.of_value(seconds_text),
        priority=7,
    ),
    Column(
        key="{item}/s",
        head="{item}/s",
        sheet="items_per_second",
        value=lambda row: row.items_per_second,
        text=cells.of_value(count_text),
        priority=10,
        order="descending",
        prints=False,
    ),
    _fact("item"),
    Column(
        key="memory",
        head="memory",
        sheet="peak_memory_mib",
        value=lambda row: row.peak_memory_mib,
        text=cells.of_value(memory_text),
        priority=8,
        prints=False,
    ),
    Column(
        key="when",
        head="when",
        sheet="finished",
        value=lambda row: row.finished,
        text=cells.day,
        number=lambda finished: datetime.fromisoformat(finished).timestamp(),
        priority=9,
        order="descending",
        prints=False,
    ),
    *map(_fact, ("own_code", "dirty", "other_data", "quirk", "other_products")),
    Column(
        key="device",
        head="device",
        sheet="devices",
        value=lambda row: row.devices,
        text=cells.devices,
        priority=11,
        right=False,
        prints=False,
        late=True,
    ),
)
