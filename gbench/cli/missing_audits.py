"""`--audit`: audits of the datasets of a leaderboard that have none yet."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from gbench import folders
from gbench.board.audits import kept_of, usual_fingerprint
from gbench.board.tables import Table
from gbench.console import stages
from gbench.errors import UserError


def audit_missing(tables: Iterable[Table], cache_dir: Path) -> list[str]:
    """Make and keep what is missing or of other code; progress goes to stderr.

    The answer tells what is left out: a dataset whose files are not at hand, and one that differs
    from what the runs saw, whose audit is not theirs.
    """
    from gbench.audits.audit import code

    left_out: dict[str, str] = {}
    for table in tables:
        what = f"audit of {table.data}, {table.split} split"
        found = kept_of(table, cache_dir)
        if what in left_out or (found and found.versions.get("code") == code()):
            continue
        print(what, file=sys.stderr)
        try:
            reason = _make(table, cache_dir)
        except UserError as error:
            reason = str(error)
        if reason:
            left_out[what] = f"no {what}: {reason}"
    return [*left_out.values()]


def _make(table: Table, cache_dir: Path) -> str:
    """Audit one dataset; the answer says what is wrong with it for this table."""
    from gbench.audits.audit import audit
    from gbench.data.manage import card_of
    from gbench.data.spec import DataCard

    where, source = None, ""
    if table.rows:
        usual = usual_fingerprint(table)
        runs = (run for row in table.rows for run in row.runs)
        config = next(run.config for run in runs if run.fingerprint == usual)
        card = DataCard.from_config({**config["data"], "fold": 0})
        where, source = config.get("data_dir"), config.get("data_source") or ""
    else:
        usual, card = "", card_of(table.data)
        if card.split != table.split:
            card = card_of(table.data, split=table.split)
    with stages() as tell:
        made = audit(card, folders.data_dir(where), cache_dir, source, tell)
    if usual and made.fingerprint != usual:
        return "the data here are not those that its runs saw (fingerprint)"
    return ""
