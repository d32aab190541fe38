"""Leaderboard tables for programs: CSV and JSON text in full precision."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from gbench.results.leaderboard import Row, Table
from gbench.results.record import finite
from gbench.results.render import settings_texts

_RUN_KEYS = ("run", "seed", "fold", "test", "valid", "best_epoch", "epochs", "finished")


def csv_text(tables: Sequence[Table]) -> str:
    """All rows of all tables in one sheet, in full precision; a cell that is unknown is empty."""
    flat = []
    for table in tables:
        for row, settings in zip(table.rows, settings_texts(table), strict=True):
            values = {**_protocol(table), **_values(row), "device": " + ".join(row.devices)}
            for name in ("test", "valid"):
                mean, std = values.pop(name)
                values |= {f"{name}_mean": mean, f"{name}_std": std}
            values["settings"] = settings
            flat.append(finite(values))
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, flat[0], lineterminator="\n")
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
        drawn.append({**_protocol(table), "repeated": table.repeated, "rows": rows})
    return json.dumps(finite({"tables": drawn}), indent=1, allow_nan=False) + "\n"


def _protocol(table: Table) -> dict[str, Any]:
    names = [field.name for field in fields(Table) if field.name not in ("rows", "repeated")]
    return {name: getattr(table, name) for name in names}


def _values(row: Row) -> dict[str, Any]:
    names = [field.name for field in fields(Row) if field.name not in ("runs", "devices")]
    return {**{name: getattr(row, name) for name in names}, "n": len(row.runs)}
