"""Rows of a benchmark as blocks of text, one per case, in 100 columns."""

from __future__ import annotations

from collections.abc import Sequence

from gbench.bench.row import Row
from gbench.bench.training import TrainRow
from gbench.figures import metric_text

HEAD = f"  {'peer':26}{'ratio':>8}  {'95 % interval':>15}{'peer ms':>11}{'peer MiB':>10}"


def block(rows: Sequence[Row]) -> str:
    """One case in one direction: what it is, our figures, and a line for each peer."""
    first = rows[0]
    title = f"{first.op} · {first.workload} · {first.dtype} · {first.direction}"
    lines = [title]
    if first.ours_ms is not None:
        assert first.gb_per_s is not None and first.floor_fraction is not None
        lines.append(
            f"  ours {first.ours_ms:.3g} ms · {first.gb_per_s:.1f} GB/s · "
            f"{100 * first.floor_fraction:.0f} % of a copy · {_mib(first.peak_mib)} MiB extra"
        )
        lines.append(HEAD)
    return "\n".join([*lines, *map(_line, rows)]) + "\n"


def _line(row: Row) -> str:
    if not row.checked:
        return f"  {row.peer or 'gbench':26}checked: no, so not timed. {row.note}"
    if row.ratio is None:
        return "  no peer here"
    interval = f"{row.ratio_low:.2f} – {row.ratio_high:.2f}"
    return (
        f"  {row.peer:26}{row.ratio:>7.2f}×  {interval:>15}{row.peer_ms:>11.3g}"
        f"{_mib(row.peer_peak_mib):>10}"
    )


def _mib(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"


TRAIN_HEAD = (
    f"{'':20}{'ratio':>7}  {'95 % interval':>15}{'ours ms':>10}{'other ms':>10}"
    f"{'test: ours':>13}{'other':>8}"
)


def train_lines(row: TrainRow) -> str:
    """A comparison of two trainings: its figures, and below them what they are of."""
    if not row.checked:
        return f"{row.name:20}checked: no, so not timed. {row.note}"
    assert row.ours_test is not None and row.other_test is not None
    ours, other = (metric_text(row.metric, value) for value in (row.ours_test, row.other_test))
    interval = f"{row.ratio_low:.2f} – {row.ratio_high:.2f}"
    return (
        f"{row.name:20}{row.ratio:>6.2f}×  {interval:>15}{row.ours_ms:>10.3g}{row.other_ms:>10.3g}"
        f"{ours:>13}{other:>8}\n"
        f"  per {row.unit}, against {row.other}; test {row.metric} after {row.trained}"
    )
