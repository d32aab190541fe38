"""`gbench.leaderboard`: the rows of `gbench leaderboard` as a DataFrame."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gbench.board.columns import columns
from gbench.board.formats.sheets import flat_rows
from gbench.board.notes import footnotes, sources, title
from gbench.board.tables import Table
from gbench.board.worth_text import worth_line
from gbench.cli.leaderboard import asked, chosen_tables
from gbench.console import console as usual_console
from gbench.interface.calling import alone
from gbench.interface.words import Setting, words_of

SHOWN = ("#", "model", "settings", "test", "95", "valid", "n", "against", "worth", "parameters")


def leaderboard(
    *words: str, runs_dir: str | Path | None = None, quiet: bool = False, **filters: str
) -> pd.DataFrame:
    """Finished runs and published results, a row for each setting, best first within its table.

        gbench.leaderboard("data=cora")
        gbench.leaderboard("mine/runs", "other/runs", data="cora,texas", model="gcn")

    Words are those of `gbench leaderboard`, the columns those of its csv format: metrics are
    fractions in full precision, `published` tells papers' rows. What is left out, and why, is
    printed unless `quiet`. Raises UserError as the command does.
    """
    given: dict[str, Setting] = {**filters}
    if runs_dir is not None:
        given["runs_dir"] = runs_dir
    with alone(quiet):
        tables, notes = chosen_tables(*asked(words_of(words, given)))
        console = usual_console()
        for note in notes:
            console.print(note, markup=False, soft_wrap=True)
        shown = _Leaderboard(flat_rows(tables))
        shown._shown = "".join(map(_table, tables))
    return shown


class _Leaderboard(pd.DataFrame):  # type: ignore[misc] # pandas is not annotated here
    """A DataFrame that a notebook shows as the tables it is made of; its parts are plain ones."""

    _metadata = ["_shown"]  # noqa: RUF012 - as pandas names its subclasses' attributes
    _shown = ""

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def _repr_html_(self) -> str:
        return self._shown


def _table(table: Table) -> str:
    shown = [column for column in columns(table) if column.key in SHOWN]
    head = _row("th", [column.head for column in shown])
    body = "".join(_row("td", cells) for cells in zip(*(c.cells for c in shown), strict=True))
    said = filter(None, (worth_line(table), *footnotes(table), *sources(table)))
    notes = "".join(f"<br>{html.escape(note)}" for note in said)
    caption = f"<caption>{html.escape(title(table))}</caption>"
    return (
        f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table><small>{notes}</small>"
    )


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"
