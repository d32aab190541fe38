"""The audits that stand beside tables: those that are kept, never made silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from gbench.audits.fact import Audit, all_kept, kept
from gbench.board.flags import flagged
from gbench.board.tables import Table


def with_audits(tables: Iterable[Table], cache_dir: Path) -> list[Table]:
    """The tables with what audits kept in `cache_dir` say of them.

    That of a table with runs is of the data that most of them saw, by their fingerprint. Beside
    published results alone stands that of the dataset and split, if there is but one.
    """
    return [flagged(table, kept_of(table, cache_dir)) for table in tables]


def kept_of(table: Table, cache_dir: Path) -> Audit | None:
    """The audit of a table's data, where one was made and is readable."""
    name = _name(table)
    if Path(name).name != name:  # a record edited by hand names another place
        return None
    if table.rows:
        return kept(name, usual_fingerprint(table), cache_dir)
    found = [
        audit
        for audit in all_kept(name, cache_dir)
        if (audit.dataset, audit.split) == (table.data, table.split)
    ]
    return found[0] if len(found) == 1 else None


def _name(table: Table) -> str:
    """Of the dataset, without what its options say behind it."""
    if table.rows:
        stated = table.rows[0].runs[0].config.get("data")
        if isinstance(stated, dict) and isinstance(stated.get("name"), str):
            return str(stated["name"])
    return table.data.split(" ")[0]


def usual_fingerprint(table: Table) -> str:
    """Of the data that most of a table's runs saw; of equals the first by its letters."""
    seen = Counter(run.fingerprint for row in table.rows for run in row.runs)
    return min(seen, key=lambda fingerprint: (-seen[fingerprint], fingerprint))
