"""A CSV file whose every fault is told with the file's name and the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from gbench.errors import UserError, unknown

if TYPE_CHECKING:
    from pandas import DataFrame, Series


class Table:
    """One CSV file: commas, a line of names, UTF-8; blank lines do not count.

    Columns in `words` are kept as they are written. Raises UserError when the file cannot be read,
    a line has too few or too many fields, or a column of `needed` is missing.
    """

    def __init__(self, path: Path, needed: Sequence[str], words: Collection[str]) -> None:
        self.path = path
        try:
            content = path.read_bytes()
            first = content.partition(b"\n")[0].decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {path}: {error}") from error
        self.columns = [name.strip() for name in next(csv.reader([first]), [])]
        for name in needed:
            if name not in self.columns:
                raise UserError(
                    f"{path}:1: there is no column '{name}', only {', '.join(self.columns)}"
                )
        if len({*self.columns}) < len(self.columns):
            raise UserError(f"{path}:1: two columns have one name: {', '.join(self.columns)}")
        self._check_fields(content)
        self.has_blanks = b" " in content or b"\t" in content
        self.frame = self._read(content, words)

    def __len__(self) -> int:
        return len(self.frame)

    def line_of(self, row: int) -> int:
        """The line of the file on which a row ends; rows are counted from 0 below the names."""
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = (reader.line_num for fields in reader if "".join(fields).strip())
            return next(islice(lines, row + 1, None))

    def fault(self, row: int, problem: str) -> NoReturn:
        """Raise UserError for a row."""
        raise UserError(f"{self.path}:{self.line_of(row)}: {problem}")

    def words(self, column: str) -> Series:
        """The words of a column, without blanks around them."""
        given = self.frame[column]
        return given.str.strip() if self.has_blanks else given

    def ids(self) -> Series:
        """The column `id`: every row has one, and no other row has the same."""
        if not len(self):
            raise UserError(f"{self.path}: there is nothing below the names of the columns")
        ids = self.words("id")
        self.refuse(ids == "", lambda row: "id is empty")
        self.refuse(ids.duplicated(), lambda row: f"id '{ids[row]}' occurs a second time")
        return ids

    def numbers(self, columns: Sequence[str]) -> np.ndarray:
        """Columns of finite numbers. Shapes: (rows, columns) float32."""
        out = np.empty((len(self), len(columns)), dtype=np.float32)
        for i, name in enumerate(columns):
            out[:, i] = self.numeric(name)
        return out

    def numeric(self, column: str) -> np.ndarray:
        """A column of finite numbers as float64."""
        import pandas

        given = self.frame[column]
        values: np.ndarray = pandas.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64)
        with np.errstate(over="ignore"):
            is_bad = ~np.isfinite(values.astype(np.float32))
        self.refuse(is_bad, lambda row: f"column '{column}' has '{given[row]}': not a number")
        return values

    def places(self, column: str, ids: Series, kind: str) -> np.ndarray:
        """Which row of another table each word of a column names."""
        import pandas

        given = self.words(column)
        places: np.ndarray = pandas.Index(ids).get_indexer(given)
        self.refuse(places < 0, lambda row: f"column '{column}': there is no {kind} '{given[row]}'")
        return places

    def refuse(self, is_bad: Series | np.ndarray, problem: Callable[[int], str]) -> None:
        """Raise UserError for the first row that is bad, with what `problem` says of it."""
        where = np.flatnonzero(np.asarray(is_bad))
        if where.size:
            self.fault(int(where[0]), problem(int(where[0])))

    def only(self, columns: Collection[str]) -> None:
        """Raise UserError for a column that nothing reads."""
        for name in self.columns:
            if name not in columns:
                raise UserError(f"{self.path}:1: {unknown('column', name, columns)}")

    def _check_fields(self, content: bytes) -> None:
        """Every line has a field for each name: count commas, and parse only if they are wrong."""
        letters = np.frombuffer(content if content.endswith(b"\n") else content + b"\n", np.uint8)
        ends = np.flatnonzero(letters == ord("\n"))
        lengths = np.diff(ends, prepend=-1)
        places = np.flatnonzero(letters == ord(","))
        commas = np.diff(np.searchsorted(places, ends), prepend=0)
        is_blank = lengths <= 2  # nothing but the end of the line, of one byte or two
        if b'"' not in content and np.all(is_blank | (commas == len(self.columns) - 1)):
            return
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for fields in reader:
                if "".join(fields).strip() and len(fields) != len(self.columns):
                    raise UserError(
                        f"{self.path}:{reader.line_num}: {len(fields)} fields, but line 1 names "
                        f"{len(self.columns)} columns"
                    )

    def _read(self, content: bytes, words: Collection[str]) -> DataFrame:
        import pandas

        try:
            return pandas.read_csv(
                io.BytesIO(content),
                header=0,
                names=self.columns,
                index_col=False,
                dtype=dict.fromkeys(words, str),
                na_filter=False,  # a node may be called NA
                skipinitialspace=True,
                low_memory=False,  # one type for all of a column
                encoding="utf-8-sig",
            )
        except (ValueError, pandas.errors.ParserError) as error:
            raise UserError(f"cannot read {self.path}: {error}") from error
