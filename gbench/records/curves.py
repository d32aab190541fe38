"""Validation curves: read from a run's `metrics.csv`, and drawn with Unicode's braille dots."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gbench.errors import UserError

FILE_NAME = "metrics.csv"
# The dot at (column, row) of a braille character's 2 × 4, as Unicode numbers them (block 2800).
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def read(folder: Path) -> list[float]:
    """The validation metric of each epoch, NaN where there was none.

    Nothing where no curve was kept (`logger=none`).
    """
    path = folder / FILE_NAME
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]  # the last may be half written
        cells = {int(row["step"]): row["valid"] for row in csv.DictReader(whole)}
        rows = {step: float("nan" if cell == "" else cell) for step, cell in cells.items()}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no learning curve ({type(error).__name__}: {error})") from error
    return [value for _, value in sorted(rows.items())]


def plot(curves: Mapping[str, Sequence[float]], *, width: int, height: int) -> list[str]:
    """Several curves over their epochs on one pair of axes, as lines of text.

    A curve carries its letter now and then and at its last point, so that no colour is needed to
    tell curves apart. NaN draws nothing.
    """
    values = [value for curve in curves.values() for value in curve if math.isfinite(value)]
    if not values:
        return []
    low, high = min(values), max(values)
    if low == high:  # a line in the middle
        low, high = low - 1, high + 1
    top, bottom = f"{high:.4g}", f"{low:.4g}"
    margin = max(len(top), len(bottom)) + 1
    columns = max(width - margin - 1, 8)
    epochs = max(len(curve) for curve in curves.values())
    dots = [[0] * columns for _ in range(height)]
    letters: dict[tuple[int, int], str] = {}
    for number, (letter, curve) in enumerate(curves.items()):
        for epoch, value in _line(curve, steps=math.ceil(2 * columns / epochs)):
            x = round(epoch / max(epochs - 1, 1) * (2 * columns - 1))
            y = round((high - value) / (high - low) * (4 * height - 1))
            row, column = y // 4, x // 2
            dots[row][column] |= _DOTS[x % 2][y % 4]
            if epoch == len(curve) - 1 or (column - 3 * number) % 18 == 6:
                letters.setdefault((row, column), letter)
    lines = []
    for row, marks in enumerate(dots):
        label = {0: top, height - 1: bottom}.get(row, "")
        cells = (
            letters.get((row, column)) or (chr(0x2800 + mark) if mark else " ")
            for column, mark in enumerate(marks)
        )
        lines.append(f"{label:>{margin}}┤{''.join(cells)}".rstrip())
    lines.append(f"{'':{margin}} 1{epochs:>{columns - 1}}  epoch")
    return lines


def _line(curve: Sequence[float], steps: int) -> Iterator[tuple[float, float]]:
    """The finite points of a curve, with `steps` points from each to the next one."""
    for epoch, (value, following) in enumerate(zip(curve, [*curve[1:], math.nan], strict=True)):
        if math.isfinite(value):
            yield epoch, value
        if math.isfinite(value) and math.isfinite(following):
            for step in range(1, steps):
                yield epoch + step / steps, value + (following - value) * step / steps
