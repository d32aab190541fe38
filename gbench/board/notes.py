"""What stands around a table: its title, its lines in order, its marks, footnotes and sources."""

from __future__ import annotations

import math

from gbench.board.published import Published
from gbench.board.statistics import POOLING
from gbench.board.tables import Row, Table
from gbench.board.worth_text import worth_notes

Line = Row | Published

_SELECTIONS = {
    "best-validation": "best validation epoch",
    "last-epoch": "last epoch",
    "best-mean-epoch": "epoch with the best mean over the folds",
    "": "published results",
}


def title(table: Table) -> str:
    """The dataset and the protocol."""
    return plain(f"{table.data}: {protocol_text(table)}")


def protocol_text(table: Table) -> str:
    """`accuracy (higher is better), public split, last epoch`."""
    better = "higher" if table.direction == "max" else "lower"
    folds = f", {table.num_folds} folds" if table.num_folds > 1 else ""
    chosen = _SELECTIONS[table.selection]
    return f"{table.metric} ({better} is better), {table.split} split{folds}, {chosen}"


def lines(table: Table) -> list[Line]:
    """One's own rows as they are ranked, with each published one among them by its mean."""
    sign = -1.0 if table.direction == "max" else 1.0

    def place(line: Line) -> tuple[bool, float]:
        mean = line.test.mean if isinstance(line, Row) else line.mean
        return math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

    return sorted([*table.published, *table.rows], key=place)


def is_best(row: Line) -> bool:
    """The one best row: bold, unless another cannot be told apart from it, as by a single run."""
    return isinstance(row, Row) and row.rank == 1 and not row.tied and len(row.runs) > 1


def marks(row: Row) -> str:
    """One sign for each thing that a footnote has to say about the row."""
    data = f"{'†' * row.other_data}{'‡' * row.quirk}"
    return f"{'¶' * row.own_code}{'*' * row.dirty}{data}{'∥' * row.other_products}"


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
    if any(row.other_products for row in rows):
        notes.append(
            "∥ runs of this row multiplied dense layers in different ways, as processors choose "
            "them: equal seeds need not give equal results (gbench compare)"
        )
    if table.selection == "best-mean-epoch" and any(run.also for row in rows for run in row.runs):
        notes.append("metrics of trainer.also are of each run's last epoch, and not shown here")
    notes += worth_notes(table)
    devices = {row.devices for row in rows}
    if len(devices) == 1:
        notes.append(plain(f"measured on {' + '.join(*devices)}"))
    return notes


def _quirk_text(table: Table) -> str:
    if "train-is-test" in table.split:
        return "trained and tested on the same graphs"
    if "quirk" in table.split:
        return f"{table.split} repeats a known error of the authors' code: see gbench data info"
    return "the protocol chooses by what it is tested on: optimistic"


def sources(table: Table) -> list[str]:
    """Where the published rows come from, by their numbers, and how they were tested."""
    notes = [f"[{number}] {text}" for text, number in source_numbers(table).items()]
    if notes:
        notes.insert(0, "rows with a number in brackets are published results:")
    if any(differs(table, row) for row in table.published):
        notes.append("§ another protocol than this table's: see its source")
    return notes


def source_numbers(table: Table) -> dict[str, int]:
    """The number of each source in the order of their lines, counted from 1."""
    papers = (line for line in lines(table) if isinstance(line, Published))
    return {text: n for n, text in enumerate(dict.fromkeys(map(source_text, papers)), start=1)}


def source_text(row: Published) -> str:
    """The source of a published row, with what is known of its protocol."""
    chosen = f"weights of the {_SELECTIONS[row.selection]}" if row.selection else ""
    return "; ".join(filter(None, (row.source, chosen, row.note)))


def differs(table: Table, row: Published) -> bool:
    """Whether the tested weights were chosen in another way than in the table."""
    return bool(table.selection and row.selection and row.selection != table.selection)


def plain(text: str) -> str:
    """Without what would break a line or command the terminal, from a record edited by hand."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
