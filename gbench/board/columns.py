"""How a table reads: its title, its columns cell by cell, its marks and its footnotes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from gbench.board.published import Published
from gbench.board.settings import settings_texts
from gbench.board.statistics import POOLING, Spread
from gbench.board.tables import Row, Table
from gbench.figures import (
    PERCENT,
    UNKNOWN,
    count_text,
    few_runs,
    memory_text,
    metric_text,
    seconds_text,
)

_SELECTIONS = {
    "best-validation": "best validation epoch",
    "last-epoch": "last epoch",
    "best-mean-epoch": "epoch with the best mean over the folds",
    "": "published results",
}


class Column(NamedTuple):
    """One column of a table as text."""

    head: str
    cells: list[str]
    needed: int  # 0 is always there; of the others the highest drops first
    right: bool = True

    @property
    def width(self) -> int:
        """Of its widest cell."""
        return max(map(len, (self.head, *self.cells)))


def protocol_text(table: Table) -> str:
    """`accuracy (higher is better), public split, last epoch`."""
    better = "higher" if table.direction == "max" else "lower"
    folds = f", {table.num_folds} folds" if table.num_folds > 1 else ""
    chosen = _SELECTIONS[table.selection]
    return f"{table.metric} ({better} is better), {table.split} split{folds}, {chosen}"


def title(table: Table) -> str:
    """The dataset and the protocol."""
    return plain(f"{table.data}: {protocol_text(table)}")


def lines(table: Table) -> list[Row | Published]:
    """One's own rows as they are ranked, with each published one among them by its mean."""
    sign = -1.0 if table.direction == "max" else 1.0

    def place(line: Row | Published) -> tuple[bool, float]:
        mean = line.test.mean if isinstance(line, Row) else line.mean
        return math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

    return sorted([*table.published, *table.rows], key=place)


def columns(table: Table) -> list[Column]:
    """The columns that have anything to say; a published row leaves most of them empty."""
    ordered = lines(table)
    unit = " %" if table.metric in PERCENT else ""
    settings = dict(zip((row.identity for row in table.rows), settings_texts(table), strict=True))
    numbers = _numbers_of_sources(table)
    one_device = len({row.devices for row in table.rows}) == 1  # then a footnote says it

    def metric(value: Spread) -> str:
        return metric_text(table.metric, value.mean, value.std)

    def column(
        head: str,
        needed: int,
        own: Callable[[Row], str],
        paper: Callable[[Published], str] = lambda row: "",
        right: bool = True,
    ) -> Column:
        cells = [own(line) if isinstance(line, Row) else paper(line) for line in ordered]
        return Column(head, [plain(cell) for cell in cells], needed, right)

    everything = [
        column("#", 0, lambda row: f"{row.rank}{'=' * row.tied}"),
        column(
            "model",
            0,
            lambda row: row.model + marks(row),
            lambda row: (
                f"{row.model} [{numbers[source_text(row)]}]{'§' if _differs(table, row) else ''}"
            ),
            right=False,
        ),
        # what tells rows apart has to stand there; of one alone it gives way to figures
        column(
            "settings",
            0 if len(table.rows) > 1 else 6,
            lambda row: settings[row.identity],
            right=False,
        ),
        column(
            f"test{unit}",
            0,
            lambda row: metric(row.test),
            lambda row: paper_text(row, Spread(row.mean, row.std)),
        ),
        column("95 %", 3, lambda row: interval_text(table, row)),
        column(
            f"valid{unit}", 4, lambda row: metric(row.valid), lambda row: paper_text(row, row.valid)
        ),
        column("n", 2, lambda row: runs_text(table, row), lambda row: str(row.n or UNKNOWN)),
        column("against paper", 1, verdict_text, right=False),
        column(
            "parameters",
            5,
            lambda row: count_text(row.num_parameters),
            lambda row: count_text(row.num_parameters) if row.num_parameters else "",
        ),
        column("trials", 6, lambda row: f"{row.trials:,}" if row.trials > 1 else ""),
        column("epoch", 7, lambda row: seconds_text(row.seconds_per_epoch)),
        column(
            f"{table.rows[0].item if table.rows else ''}/s",
            10,
            lambda row: count_text(row.items_per_second),
        ),
        column("memory", 8, lambda row: memory_text(row.peak_memory_mib)),
        column("when", 9, lambda row: day_text(row.finished)),
        column(
            "device", 11, lambda row: "" if one_device else " + ".join(row.devices), right=False
        ),
    ]
    return [column for column in everything if any(column.cells)]


def footnotes(table: Table) -> list[str]:
    """What the marks on one's own rows mean, and what all of these rows share."""
    rows = table.rows
    notes = []
    if any(row.tied for row in rows):
        notes.append(
            "= cannot be told apart from the best row of more than one run (t tests, paired where "
            "seeds and folds are shared; 5 %, corrected for their number after Holm)"
        )
    if any(row.verdict for row in rows):
        notes.append(
            "against paper: gap to the published mean in standard errors; agrees: equal within the "
            f"paper's own deviation (TOST, 5 %); {POOLING}"
        )
    if any(row.dirty for row in rows):
        notes.append("* code with uncommitted changes in at least one run")
    if any(row.own_code for row in rows):
        notes.append("¶ code outside gbench: settings show code=, a digest of it, where two differ")
    if any(row.other_data for row in rows):
        notes.append("† at least one run saw other data than most of this table (fingerprint)")
    if any(row.quirk for row in rows):
        notes.append(f"‡ {_quirk_text(table)}")
    devices = {row.devices for row in rows}
    if len(devices) == 1:
        notes.append(plain(f"measured on {' + '.join(*devices)}"))
    return notes


def sources(table: Table) -> list[str]:
    """Where the published rows come from, by their numbers, and how they were tested."""
    notes = [f"[{number}] {text}" for text, number in _numbers_of_sources(table).items()]
    if notes:
        notes.insert(0, "rows with a number in brackets are published results:")
    if any(_differs(table, row) for row in table.published):
        notes.append("§ another protocol than this table's: see its source")
    return notes


def source_text(row: Published) -> str:
    """The source of a published row, with what is known of its protocol."""
    chosen = f"weights of the {_SELECTIONS[row.selection]}" if row.selection else ""
    return "; ".join(filter(None, (row.source, chosen, row.note)))


def paper_text(row: Published, value: Spread | None) -> str:
    """A figure of a published row with as many digits as its paper prints; empty for None."""
    if value is None:
        return ""
    scale, shift = (100, 2) if row.metric in PERCENT else (1, 0)
    decimals = max(0, round(-math.log10(row.resolution)) - shift)
    text = f"{scale * value.mean:.{decimals}f}"
    return text if value.std is None else f"{text} ± {scale * value.std:.{decimals}f}"


def runs_text(table: Table, row: Row) -> str:
    """The number of runs; with folds, how many of them: `10 folds`, `3 of 10 folds`."""
    n = len(row.runs)
    if table.num_folds == 1:
        return str(n)
    folds = f"{row.folds} of {table.num_folds}" if row.folds < table.num_folds else f"{row.folds}"
    if n == row.folds:
        return f"{folds} folds"
    planned = row.folds * len({run.seed for run in row.runs})
    runs = f"{n} of {planned}" if n < planned else f"{n}"
    return f"{runs} runs, {folds} folds"


def interval_text(table: Table, row: Row) -> str:
    """`± 0.64`, with as many digits as its mean; empty for one run."""
    if row.interval is None or math.isnan(row.interval):
        return ""
    return metric_text(table.metric, row.test.mean, row.interval).partition(" ")[2]


def verdict_text(row: Row) -> str:
    """`agrees −0.3`: the word and the gap in standard errors; of few runs, how many."""
    gap = "" if math.isnan(row.gap) else f" {row.gap:+.1f}".replace("-", "−")
    return row.verdict + gap + (few_runs(len(row.runs)) if row.verdict else "")


def marks(row: Row) -> str:
    """One sign for each thing that a footnote has to say about the row."""
    return f"{'¶' * row.own_code}{'*' * row.dirty}{'†' * row.other_data}{'‡' * row.quirk}"


def day_text(finished: str) -> str:
    """The local date."""
    return datetime.fromisoformat(finished).astimezone().date().isoformat()


def plain(text: str) -> str:
    """Without what would break a line or command the terminal, from a record edited by hand."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def is_best(row: Row | Published) -> bool:
    """The one best row: bold, unless another cannot be told apart from it, as by a single run."""
    return isinstance(row, Row) and row.rank == 1 and not row.tied and len(row.runs) > 1


def _numbers_of_sources(table: Table) -> dict[str, int]:
    papers = [line for line in lines(table) if isinstance(line, Published)]
    texts: Sequence[str] = list(dict.fromkeys(map(source_text, papers)))
    return {text: number for number, text in enumerate(texts, start=1)}


def _differs(table: Table, row: Published) -> bool:
    """Whether the tested weights were chosen in another way than in the table."""
    return bool(table.selection and row.selection and row.selection != table.selection)


def _quirk_text(table: Table) -> str:
    if "train-is-test" in table.split:
        return "trained and tested on the same graphs"
    if "quirk" in table.split:
        return f"{table.split} repeats a known error of the authors' code: see gbench data info"
    return "the protocol chooses by what it is tested on: optimistic"
