"""`metrics.csv`: a row per epoch, in the file before the next epoch begins.

Lightning's CSVLogger writes after every 100 rows and begins its file anew when a run is resumed.
A write to a file that stays open costs 5 µs, and no kill of the process takes back what it wrote.
After a power cut it is the checkpoint that has the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from gbench.folders import written_whole
from gbench.mirror.mirrored import Mirror

Row = Mapping[str, float]


class CurveFile(Mirror):
    """Rows of one run's curve, each once, however often the run is interrupted and resumed.

    An earlier attempt's rows stay until there is a new one to write: then the file is replaced by
    the rows that the run goes on from and that one, and others are appended.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.before: Sequence[Row] = ()  # of the checkpoint that the run goes on from
        self.later: Sequence[str] = ()  # columns that the first row may not have yet
        self._columns: list[str] = []
        self._file: IO[bytes] | None = None

    def go_on(self, curve: Sequence[Row], columns: Sequence[str]) -> None:
        self.before, self.later = curve, columns

    def log_metrics(self, metrics: Row, step: int | None = None) -> None:
        """Write the row of epoch `step`, counted from 0."""
        row = {"step": step, **metrics}
        if self._file is None:
            self._columns = [*dict.fromkeys((*row, *self.later))]
            with written_whole(self.path, synced=False) as file:
                file.write(f"{','.join(self._columns)}\n".encode())
                for earlier in self.before:
                    file.write(self._line({"step": int(earlier["epoch"]), **earlier}))
                file.write(self._line(row))
            self._file = self.path.open("ab", buffering=0)
        else:
            self._file.write(self._line(row))

    def finalize(self, status: str) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _line(self, row: Mapping[str, Any]) -> bytes:
        return f"{','.join(str(row.get(name, '')) for name in self._columns)}\n".encode()
