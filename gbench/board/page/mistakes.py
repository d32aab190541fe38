"""Where the best rows of a table are wrong, and how sure they are: drawn from `errors.json`.

`gbench errors RUN` leaves the file in a run's folder. The drawings are in the page as it is served,
and need no script.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from gbench.board.notes import plain
from gbench.board.tables import Row, Table
from gbench.figures import counted
from gbench.records.mistakes import Kept, read
from gbench.records.record import RunRecord

ROWS = 3  # of a table, the best of those whose runs were examined
SIDE = 300  # of a drawing, in its own units
LEFT, BELOW = 72, 40  # for names and axes
MOST_NAMED = 12  # classes whose names and counts have room


def mistakes(table: Table, runs_dirs: Sequence[str | Path]) -> str:
    """A part of the table's section that opens; nothing where no run was examined."""
    drawn = "".join(_row(row, *found) for row, found in _examined(table, runs_dirs))
    if not drawn:
        return ""
    return f"""\
<details class="mistakes"><summary>Where runs are wrong, and how sure they are</summary>
{drawn}<p class="foot">Of the test part, from gbench errors. Left: labels in rows, answers in \
columns, darker for a larger share of the row. Right: answers by their confidence in 15 bins; on \
the line they are right as often as they say, and the expected calibration error (ECE) is their \
mean distance from it.</p></details>
"""


def _examined(
    table: Table, runs_dirs: Sequence[str | Path]
) -> Iterator[tuple[Row, tuple[Kept, int]]]:
    """The first rows of which something is kept: its sum over their runs, and how many they are."""
    shown = 0
    for row in table.rows:
        found = [kept for run in row.runs if (kept := _kept(run, runs_dirs))]
        alike = [kept for kept in found if kept.classes == found[0].classes]
        if not alike or not (alike[0].confusion or _has_bins(alike[0])):
            continue
        total = alike[0]
        for kept in alike[1:]:
            total = total.plus(kept)
        yield row, (total, len(alike))
        shown += 1
        if shown == ROWS:
            return


def _kept(run: RunRecord, runs_dirs: Sequence[str | Path]) -> Kept | None:
    if Path(run.run).name != run.run or run.run in ("", ".."):  # a record edited by hand
        return None
    found = (read(Path(runs_dir, run.run), run.finished) for runs_dir in runs_dirs)
    return next((kept for kept in found if kept is not None), None)


def _row(row: Row, kept: Kept, number: int) -> str:
    runs = counted(number, "run")
    if number < len(row.runs):
        runs = f"{number:,} of {counted(len(row.runs), 'run')}"
    confusion = _confusion(kept) if kept.confusion else ""
    sure = _sure(kept) if _has_bins(kept) else ""
    return f"""\
<p class="name">{row.rank}. {escape(plain(row.model))} <span class="soft">{runs}</span></p>
<div class="pair">{confusion}{sure}</div>
"""


def _has_bins(kept: Kept) -> bool:
    return any(answers for answers, _, _ in kept.bins)


def _confusion(kept: Kept) -> str:
    """The matrix as squares."""
    size = SIDE / len(kept.classes)
    is_named = len(kept.classes) <= MOST_NAMED
    parts = []
    for i, row in enumerate(kept.confusion):
        total = sum(row)
        for j, count in enumerate(row):
            share = count / total if total else 0.0
            kind = "right" if i == j else "wrong"
            x, y = LEFT + j * size, i * size
            told = f"{kept.classes[i]} answered as {kept.classes[j]}: {count:,} of {total:,}"
            parts.append(
                f'<rect class="{kind}" x="{x:.2f}" y="{y:.2f}" width="{size:.2f}" '
                f'height="{size:.2f}" fill-opacity="{0.08 + 0.62 * share:.3f}">'
                f"<title>{_text(told, 200)}</title></rect>"
            )
            if is_named and count:
                at = f'x="{x + size / 2:.2f}" y="{y + size / 2 + 4:.2f}"'
                parts.append(f'<text class="count" {at} text-anchor="middle">{count:,}</text>')
        if is_named:
            at = f'x="{LEFT - 6}" y="{(i + 0.5) * size + 4:.2f}"'
            parts.append(f'<text {at} text-anchor="end">{_text(kept.classes[i], 10)}</text>')
            letters = max(2, int(size / 8))
            at = f'x="{LEFT + (i + 0.5) * size:.2f}" y="{SIDE + 16}"'
            name = _text(kept.classes[i], letters)
            parts.append(f'<text {at} text-anchor="middle">{name}</text>')
    return _drawing("labels and answers", "".join(parts))


def _sure(kept: Kept) -> str:
    """How often answers are right, by how sure they are."""
    total = sum(answers for answers, _, _ in kept.bins)
    error = sum(abs(right - sure) for _, sure, right in kept.bins) / total
    most = max(answers for answers, _, _ in kept.bins)
    width = SIDE / len(kept.bins)
    parts = []
    for k, (answers, sure, right) in enumerate(kept.bins):
        if not answers:
            continue
        low, high = k / len(kept.bins), (k + 1) / len(kept.bins)
        height = SIDE * right / answers
        told = (
            f"{100 * low:.1f} to {100 * high:.1f} %: {int(answers):,} answers, sure "
            f"{100 * sure / answers:.1f} %, right {100 * right / answers:.1f} %"
        )
        opacity = 0.2 + 0.6 * answers / most
        parts.append(
            f'<rect class="right" x="{LEFT + k * width + 1:.2f}" y="{SIDE - height:.2f}" '
            f'width="{width - 2:.2f}" height="{height:.2f}" fill-opacity="{opacity:.3f}">'
            f"<title>{told}</title></rect>"
        )
    for k in range(5):
        at, text = SIDE * k / 4, f"{25 * k} %"
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{SIDE - at}" '
            f'y2="{SIDE - at}"/>'
            f'<text x="{LEFT - 6}" y="{SIDE - at + 4}" text-anchor="end">{text}</text>'
            f'<text x="{LEFT + at}" y="{SIDE + 16}" text-anchor="middle">{text}</text>'
        )
    parts.append(f'<line class="even" x1="{LEFT}" y1="{SIDE}" x2="{LEFT + SIDE}" y2="0"/>')
    caption = f"right by confidence; ECE {100 * error:.1f} %"
    parts.append(
        f'<text class="title" x="{LEFT + SIDE / 2}" y="{SIDE + 34}" text-anchor="middle">'
        f"{caption}</text>"
    )
    return _drawing(caption, "".join(parts))


def _drawing(label: str, content: str) -> str:
    box = f"0 -8 {LEFT + SIDE + 28} {SIDE + BELOW + 8}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(label)}">{content}</svg>'


def _text(name: str, letters: int) -> str:
    """A name that fits, and cannot end the element that it stands in."""
    name = plain(name)
    return escape(name if len(name) <= letters else name[: letters - 1] + "…")
