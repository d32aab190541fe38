"""Leaderboard tables for programs: CSV and JSON text in full precision."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from gbench.board.published import Published
from gbench.board.settings import settings_texts
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
        protocol = _protocol(table)
        for row, settings in zip(table.rows, settings_texts(table), strict=True):
            values = {**protocol, "published": False, **_values(row)}
            flat.append(_flat({**values, "device": " + ".join(row.devices), "settings": settings}))
        flat += [
            _flat({**protocol, "published": True, **_paper(paper)}) for paper in table.published
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
        rows = [
            {
                **_values(row),
                "test": row.test._asdict(),
                "valid": row.valid._asdict(),
                "devices": row.devices,
                "runs": [{key: getattr(run, key) for key in _RUN_KEYS} for run in row.runs],
            }
            for row in table.rows
        ]
        papers = [
            {**paper, "test": paper["test"]._asdict(), "valid": paper["valid"]._asdict()}
            for paper in map(_paper, table.published)
        ]
        drawn.append(
            {**_protocol(table), "repeated": table.repeated, "rows": rows, "published": papers}
        )
    return json.dumps(finite({"tables": drawn}), indent=1, allow_nan=False) + "\n"


def _protocol(table: Table) -> dict[str, Any]:
    names = [f.name for f in fields(Table) if f.name not in ("rows", "published", "repeated")]
    return {name: getattr(table, name) for name in names}


def _values(row: Row) -> dict[str, Any]:
    names = [field.name for field in fields(Row) if field.name not in ("runs", "devices")]
    return {**{name: getattr(row, name) for name in names}, "n": len(row.runs)}


def _paper(row: Published) -> dict[str, Any]:
    """Without what its table says of it already, but for the selection: it may be another."""
    return {
        "model": row.model,
        "test": Spread(row.mean, row.std),
        "valid": row.valid or Spread(math.nan, None),
        "n": row.n,
        "num_parameters": row.num_parameters,
        "selection": row.selection,
        "source": row.source,
        "note": row.note,
        "experiment": row.experiment,
    }


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    for name in ("test", "valid"):
        mean, std = values.pop(name)
        values |= {f"{name}_mean": mean, f"{name}_std": std}
    return finite(values)  # type: ignore[no-any-return]
