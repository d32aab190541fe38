"""Leaderboard tables for programs: CSV and JSON text in full precision."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from gbench.board import cells
from gbench.board.columns import Column, columns_of
from gbench.board.notes import Line
from gbench.board.statistics import Spread
from gbench.board.tables import Row, Table
from gbench.records.record import finite

_RUN_KEYS = ("run", "seed", "fold", "test", "valid", "best_epoch", "epochs", "finished")


def csv_text(tables: Sequence[Table]) -> str:
    """All rows of all tables in one sheet, in full precision; a cell that is unknown is empty.

    Published rows follow one's own of their table and have `published` True.
    """
    flat: list[dict[str, Any]] = []
    for table in tables:
        protocol, shared, columns = _protocol(table), cells.shared(table), columns_of(table)
        for published, lines in ((False, table.rows), (True, table.published)):
            flat += [
                {**protocol, "published": published, **_flat(line, columns, shared)}
                for line in lines
            ]
    sheet = io.StringIO()
    # in order of appearance: one's own rows and published ones have columns of their own
    writer = csv.DictWriter(sheet, {key: None for row in flat for key in row}, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return sheet.getvalue()


def json_text(tables: Sequence[Table]) -> str:
    """The tables with their rows and the runs behind them, in full precision; NaN is null."""
    drawn = []
    for table in tables:
        columns = columns_of(table)
        rows = [
            {
                **_exact(row, columns),
                "runs": [{key: getattr(run, key) for key in _RUN_KEYS} for run in row.runs],
            }
            for row in table.rows
        ]
        papers = [_exact(paper, columns) for paper in table.published]
        drawn.append(
            {**_protocol(table), "repeated": table.repeated, "rows": rows, "published": papers}
        )
    return json.dumps(finite({"tables": drawn}), indent=1, allow_nan=False) + "\n"


def _protocol(table: Table) -> dict[str, Any]:
    names = [f.name for f in fields(Table) if f.name not in ("rows", "published", "repeated")]
    return {name: getattr(table, name) for name in names}


def _values(line: Line, columns: Sequence[Column]) -> list[tuple[Column, Any]]:
    """The exact value of every column that the line has."""
    if isinstance(line, Row):
        there = sorted(columns, key=lambda column: column.late)
    else:
        there = [column for column in columns if column.paper]
    return [(column, column.of(line)) for column in there]


def _exact(line: Line, columns: Sequence[Column]) -> dict[str, Any]:
    values = {
        column.name: value._asdict() if isinstance(value, Spread) else value
        for column, value in _values(line, columns)
    }
    return values | _source(line)


def _flat(line: Line, columns: Sequence[Column], shared: cells.Shared) -> dict[str, Any]:
    """One value a cell: settings and devices are texts, a spread is two columns, the last ones."""
    flat: dict[str, Any] = {}
    spreads: dict[str, Any] = {}
    for column, value in _values(line, columns):
        if isinstance(value, Spread):
            spreads |= {f"{column.name}_{part}": of for part, of in value._asdict().items()}
        elif isinstance(value, tuple):
            flat[column.key] = " + ".join(value)
        else:
            is_nested = isinstance(value, dict)
            flat[column.name] = column.text(value, line, shared) if is_nested else value
    return finite({**flat, **_source(line), **spreads})  # type: ignore[no-any-return]


def _source(line: Line) -> dict[str, Any]:
    """What a published row says besides: where it is from, and how the paper chose the weights."""
    names = () if isinstance(line, Row) else ("selection", "source", "note", "experiment")
    return {name: getattr(line, name) for name in names}
