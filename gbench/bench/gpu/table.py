"""The rows of a GPU check as text, and what they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

HEAD = (
    f"{'op':19} {'workload':34} {'dtype':8} {'':16} {'error':>7} {'ms':>9} {'GB/s':>7}"
    f" {'copy':>6} {'launches':>8}  peers"
)


def text(rows: Sequence[Row], facts: Row) -> str:
    """A line for each row that was timed, then what was checked only, then what went wrong."""
    lines = ["", " · ".join(f"{name} {value}" for name, value in facts.items()), "", HEAD]
    lines += [_timed(row) for row in rows if "ours_ms" in row]
    lines += [
        "copy: the time of a copy of as many bytes, in the same rounds, over ours. A peer's figure",
        "is its time over ours. e: timed between events, because it waits or cannot be captured.",
        "",
    ]
    lines += [_checked(row) for row in rows if "ours_ms" not in row]
    waiting = [row for row in rows if row.get("waits")]
    lines += [f"waits: {_name(row)} {row['direction']}: {row['waits']}" for row in waiting]
    other = [row for row in rows if row.get("replay") == "differs"]
    lines += [f"replay differs: {_name(row)} {row['direction']}" for row in other]
    counts = Counter(row["status"] for row in rows)
    words = ("ok", "skipped", "wrong", "failed")
    lines += ["", ", ".join(f"{counts[status]} {status}" for status in words)]
    return "\n".join(lines)


def _name(row: Row) -> str:
    return f"{row['op']} {row.get('workload', '')} {row.get('dtype', '')}".strip()


def _timed(row: Row) -> str:
    peers = [_peer(name, figures) for name, figures in row["peers"].items()]
    launches = "" if row["launches"] is None else row["launches"]
    direction = row["direction"].replace("forward+backward", "forw.+backward")
    return (
        f"{row['op']:19} {row['workload']:34} {row['dtype']:8} {direction:16}"
        f" {row['error']:7.1e} {row['ours_ms']:9.4f} {row['gb_per_s']:7.0f}"
        f" {100 * row['part_of_copy']:4.0f} % {launches:>8}"
        f"{' e' if row['how'] == 'events' else '  '}{'; '.join(peers)}"
    )


def _peer(name: str, figures: Row) -> str:
    if "ratio" not in figures:
        return f"{name}: {figures['note']}"
    mark = " e" if figures["how"] == "events" else ""
    return f"{name} {figures['ratio']:.2f}{mark}"


def _checked(row: Row) -> str:
    error = f" error {row['error']:.1e} of {row['allowed']:.0e}" if "error" in row else ""
    note = f" {row['note']}" if row.get("note") else ""
    wrong = [
        f"{what} {error:.1e}"
        for what, error in row.get("errors", {}).items()
        if not error <= row["allowed"]
    ]
    return (
        f"{row['status']:8} {row['kind']:7} {_name(row)}{error}{note} {', '.join(wrong)}".rstrip()
    )
