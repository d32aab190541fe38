"""What cells say: functions of an exact value, its line and what the cells of a table share."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from gbench.board.notes import Line, differs, marks, source_numbers, source_text
from gbench.board.published import Published
from gbench.board.settings import settings_texts
from gbench.board.statistics import Spread
from gbench.board.tables import Row, Table, have_told
from gbench.figures import UNKNOWN, count_text, few_runs, metric_text
from gbench.metrics import is_percent


class Shared(NamedTuple):
    """What the cells of a table share."""

    table: Table
    settings: dict[str, str]  # identity of a row: its settings
    sources: dict[str, int]  # source of a published row: its number
    one_device: bool


def shared(table: Table) -> Shared:
    """What the texts of a table's cells need besides their line."""
    return Shared(
        table,
        dict(zip((row.identity for row in table.rows), settings_texts(table), strict=True)),
        source_numbers(table),
        len({row.devices for row in table.rows}) == 1,  # then a footnote says it
    )


def paper_text(row: Published, value: Spread | None) -> str:
    """A figure of a published row with as many digits as its paper prints; empty if it has none."""
    if value is None or math.isnan(value.mean):
        return ""
    scale, shift = (100, 2) if is_percent(row.metric) else (1, 0)
    decimals = max(0, round(-math.log10(row.resolution)) - shift)
    text = f"{scale * value.mean:.{decimals}f}"
    return text if value.std is None else f"{text} ± {scale * value.std:.{decimals}f}"


def rank(rank: int, row: Line, shared: Shared) -> str:
    """`1`; `1=` where it cannot be told apart from the best."""
    return f"{rank}{'=' * (isinstance(row, Row) and row.tied)}"


def model(model: str, row: Line, shared: Shared) -> str:
    """`gcn*` with its marks; `GCN [1]` with the number of its source."""
    if isinstance(row, Row):
        return model + marks(row)
    return f"{model} [{shared.sources[source_text(row)]}]{'§' * differs(shared.table, row)}"


def settings(settings: object, row: Line, shared: Shared) -> str:
    """`hidden_dim=64 lr=0.01`."""
    return shared.settings[row.identity] if isinstance(row, Row) else ""


def metric(value: Spread, row: Line, shared: Shared) -> str:
    """`81.46 ± 0.52`; of a published row as it is printed."""
    if isinstance(row, Published):
        return paper_text(row, value)
    return metric_text(shared.table.metric, value.mean, value.std)


def metric_called(name: str) -> Callable[[Any, Line, Shared], str]:
    """The text of a metric beside the table's; empty where some of the row's runs lack it."""

    def text(value: Spread, row: Line, shared: Shared) -> str:
        is_told = isinstance(row, Row) and have_told(row.runs, name)
        return metric_text(name, *value) if is_told else ""

    return text


def interval(half_width: float | None, row: Line, shared: Shared) -> str:
    """`± 0.64`, with as many digits as its mean; empty for one run."""
    if half_width is None or math.isnan(half_width) or not isinstance(row, Row):
        return ""
    return metric_text(shared.table.metric, row.test.mean, half_width).partition(" ")[2]


def runs(n: int | None, row: Line, shared: Shared) -> str:
    """The number of runs; with folds, how many of them: `10 folds`, `3 of 10 folds`."""
    if not isinstance(row, Row) or shared.table.num_folds == 1:
        return str(n or UNKNOWN)
    of = shared.table.num_folds
    folds = f"{row.folds} of {of}" if row.folds < of else f"{row.folds}"
    if n == row.folds:
        return f"{folds} folds"
    planned = row.folds * len({run.seed for run in row.runs})
    runs = f"{n} of {planned}" if len(row.runs) < planned else f"{n}"
    return f"{runs} runs, {folds} folds"


def verdict(word: str, row: Line, shared: Shared) -> str:
    """`agrees −0.3`: the word and the gap in standard errors; of few runs, how many."""
    assert isinstance(row, Row)
    gap = "" if math.isnan(row.gap) else f" {row.gap:+.1f}".replace("-", "−")
    return word + gap + (few_runs(len(row.runs)) if word else "")


def parameters(number: int | None, row: Line, shared: Shared) -> str:
    """`1,885,506`; empty where a paper does not say."""
    return count_text(number or 0) if number or isinstance(row, Row) else ""


def trials(trials: int, row: Line, shared: Shared) -> str:
    """Of a search; empty without one."""
    return f"{trials:,}" if trials > 1 else ""


def day(finished: str, row: Line, shared: Shared) -> str:
    """The local date."""
    return datetime.fromisoformat(finished).astimezone().date().isoformat()


def devices(devices: tuple[str, ...], row: Line, shared: Shared) -> str:
    """Empty where all rows share them."""
    return "" if shared.one_device else " + ".join(devices)


def of_value(text: Callable[[float], str]) -> Callable[[Any, Line, Shared], str]:
    """The text of a value that needs nothing else."""
    return lambda value, row, shared: text(value)
