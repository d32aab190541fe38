"""Each row of the leaderboard as a wandb run of its own, renewed when it is uploaded again."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from gbench.board import tables as leaderboard
from gbench.board.tables import Row, Table
from gbench.choices import PACKAGED, read_yaml
from gbench.config.identity import decisive
from gbench.config.names import WANDB_NAME, shortened, wandb_tags
from gbench.records import find as store

JOB_TYPE = "aggregate"  # of a run itself it is "train"
_FIGURES = {field.name for field in fields(Row)} - {"settings", "test", "valid", "devices", "runs"}


def upload(runs_dir: Path) -> Iterator[str]:
    """Upload all rows to the projects that their runs are mirrored to; the name of each."""
    records, _ = store.find([runs_dir])
    for table in leaderboard.rows(records):
        for row in table.rows:
            yield _upload(table, row)


def _upload(table: Table, row: Row) -> str:
    import wandb

    last = max(row.runs, key=lambda record: record.finished)
    place = {**read_yaml(PACKAGED / "logger" / "wandb.yaml"), **last.config.get("logger", {})}
    data = last.config["data"]["name"]
    group = shortened(f"{data}-{row.model}", WANDB_NAME, end=f"-{row.identity}")
    count = f"-{row.identity} (n = {len(row.runs)})"
    name = shortened(f"{data}-{row.model}", WANDB_NAME, end=count)
    tags = wandb_tags({**last.config, "logger": place})
    quiet = wandb.Settings(
        silent=True, console="off", disable_git=True, x_disable_stats=True, x_disable_meta=True
    )
    with tempfile.TemporaryDirectory() as folder:
        run = wandb.init(
            project=place["project"],
            entity=place["entity"],
            id=_id(table, row),
            name=name,
            group=group,
            job_type=JOB_TYPE,
            tags=tags,
            config=decisive(last.config),
            resume="allow",
            mode="online",
            dir=folder,
            settings=quiet,
        )
        run.summary.update(_summary(table, row))
        run.finish()
    return name


def _id(table: Table, row: Row) -> str:
    """One per setting and protocol, whatever machine it is uploaded from."""
    protocol = (table.data, table.split, table.selection, table.num_folds, table.metric)
    digest = hashlib.sha256(repr((*protocol, row.identity)).encode()).hexdigest()
    return f"row-{digest[:16]}"


def _summary(table: Table, row: Row) -> dict[str, Any]:
    """The row's figures; one that is unknown is left out."""
    values: dict[str, Any] = {name: getattr(row, name) for name in _FIGURES}
    values |= {
        "n": len(row.runs),
        "test_mean": row.test.mean,
        "test_std": row.test.std,
        "valid_mean": row.valid.mean,
        "valid_std": row.valid.std,
        "data": table.data,
        "split": table.split,
        "selection": table.selection,
        "metric": table.metric,
        "runs": [record.run for record in row.runs],
    }
    unknown = {
        key for key, value in values.items() if isinstance(value, float) and math.isnan(value)
    }
    return {k: v for k, v in values.items() if v is not None and k not in unknown}
