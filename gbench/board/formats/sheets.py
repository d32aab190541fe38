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
from gbench.board.worth import Worth
from gbench.records.record import finite

_RUN_KEYS = ("run", "seed", "fold", "test", "valid", "best_epoch", "epochs", "finished", "chosen")


def flat_rows(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """All rows of all tables, each as one value a column, in full precision.

    Published rows follow one's own of their table and have `published` True.
    """
    flat: list[dict[str, Any]] = []
    for table in tables:
        protocol = {**_protocol(table), **_worth_flat(table)}
        shared, (own, printed) = cells.shared(table), _order(table)
        ours, theirs = {**protocol, "published": False}, {**protocol, "published": True}
        flat += [{**ours, **_flat(row, own, shared)} for row in table.rows]
        flat += [{**theirs, **_flat(paper, printed, shared)} for paper in table.published]
    return flat


def csv_text(tables: Sequence[Table]) -> str:
    """The same in one sheet; a cell that is unknown is empty."""
    flat = flat_rows(tables)
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
        own, printed = _order(table)
        rows = [
            {
                **_exact(row, own),
                "runs": [{key: getattr(run, key) for key in _RUN_KEYS} for run in row.runs],
            }
            for row in table.rows
        ]
        papers = [_exact(paper, printed) for paper in table.published]
        drawn.append(
            {
                **_protocol(table),
                "worth": _worth(table),
                "repeated": table.repeated,
                "rows": rows,
                "published": papers,
            }
        )
    return json.dumps(finite({"tables": drawn}), indent=1, allow_nan=False) + "\n"


def _protocol(table: Table) -> dict[str, Any]:
    beside = ("rows", "published", "repeated", "worth", "bar")
    names = [f.name for f in fields(Table) if f.name not in beside]
    return {name: getattr(table, name) for name in names}


def _worth(table: Table) -> dict[str, Any] | None:
    """Ceilings and floors with the names of their facts; None where there is no audit."""
    if table.worth is None:
        return None
    figures = {f.name: getattr(table.worth, f.name) for f in fields(Worth)}
    return {
        name: of and {"fact": of.fact, "mean": of.mean, "by_fold": of.by_fold}
        for name, of in figures.items()
    }


def _worth_flat(table: Table) -> dict[str, Any]:
    """Their means; no column without an audit."""
    return {name: of and of["mean"] for name, of in (_worth(table) or {}).items()}


def _order(table: Table) -> tuple[list[Column], list[Column]]:
    """The columns of one's own rows and those of published ones, in their order."""
    columns = columns_of(table)
    return sorted(columns, key=lambda column: column.late), [c for c in columns if c.paper]


def _exact(line: Line, columns: Sequence[Column]) -> dict[str, Any]:
    values = {column.name: column.of(line) for column in columns}
    values |= {name: of._asdict() for name, of in values.items() if isinstance(of, Spread)}
    return values | _source(line)


def _flat(line: Line, columns: Sequence[Column], shared: cells.Shared) -> dict[str, Any]:
    """One value a cell: settings and devices are texts, a spread is two columns, the last ones."""
    flat: dict[str, Any] = {}
    spreads: dict[str, Any] = {}
    for column in columns:
        value = column.of(line)
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
