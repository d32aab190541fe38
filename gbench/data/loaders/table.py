"""A CSV file whose every fault is told with the file's name and the line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from gbench.errors import UserError, unknown

if TYPE_CHECKING:
    from pandas import DataFrame, Series

NO_NAME = r"|Unnamed: \d+(_level_\d+)?"  # as pandas calls a column without one that it has read
EMPTY_END = rb'(?m),(?:"")?[ \t]*$'
EMPTY_ROW = rb'(?m)^(?:[ \t,]|"")*(?:\n|\Z)'


class Table:
    """One CSV file: commas, a line of names, UTF-8. Rows without any content do not count.

    A column without a name (the index of pandas, the row names of R, which may lack a place in the
    line of names) is left out and stands in `left_out`. Columns that `is_word` are kept as they are
    written. Raises UserError when the file cannot be read, a line has too few or too many fields,
    or a column of `needed` is missing.
    """

    def __init__(self, path: Path, needed: Sequence[str], is_word: Callable[[str], bool]) -> None:
        self.path = path
        content = self._content()
        rest = re.sub(EMPTY_ROW, b"", content)
        first, *others = islice(self._records(rest), 3) if rest else ([],)
        self.names = [name.strip() for name in first]
        if others and all(len(fields) == len(first) + 1 for fields in others):
            # row names stand first, as read.table and read_csv take them; or lines end in a comma
            lines, ends = rest.rstrip(b"\n").count(b"\n"), len(re.findall(EMPTY_END, rest))
            self.names.insert(len(first) if ends >= lines else 0, "")
        self.columns = [name for name in self.names if not re.fullmatch(NO_NAME, name)]
        for name in needed:
            if name not in self.columns:
                self._refuse_names(f"there is no column '{name}', only {', '.join(self.columns)}")
        if len({*self.columns}) < len(self.columns):
            self._refuse_names(f"two columns have one name: {', '.join(self.columns)}")
        rows = rest.partition(b"\n")[2] if b'"' not in rest else _without_record(rest)
        self._check_fields(rows)
        self.has_blanks = b" " in content or b"\t" in content
        self.frame = self._read(rows, is_word)
        self.left_out = self._take_nameless()

    def __len__(self) -> int:
        return len(self.frame)

    def line_of(self, row: int) -> int:
        """The line of the file on which a row ends; rows are counted from 0 below the names."""
        reader = csv.reader(io.StringIO(self._content().decode(), newline=""))
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
                self._refuse_names(str(unknown("column", name, columns)))

    def _content(self) -> bytes:
        """The file, with one kind of line end."""
        try:
            content = self.path.read_bytes().removeprefix(b"\xef\xbb\xbf")
            content.decode()
        except UnicodeDecodeError as error:
            raise UserError(
                f"cannot read {self.path}: it is no UTF-8 text ({error.reason} at byte "
                f"{error.start}): save it as CSV in UTF-8"
            ) from error
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error}") from error
        if b"\r" in content:
            content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\0" in content:
            raise UserError(f"cannot read {self.path}: it is no text: save it as CSV in UTF-8")
        return content

    def _records(self, content: bytes) -> Iterator[list[str]]:
        return csv.reader(io.StringIO(content.decode(), newline=""), skipinitialspace=True)

    def _refuse_names(self, problem: str) -> NoReturn:
        for mark, other in (("semicolons", ";"), ("tabs", "\t")):
            if len(self.columns) == 1 and other in self.columns[0]:
                problem = (
                    f"the fields are separated by {mark}, and gbench reads commas, with points in "
                    "numbers (in R: write.csv)"
                )
        raise UserError(f"{self.path}:{self.line_of(-1) if self.names else 1}: {problem}")

    def _check_fields(self, rows: bytes) -> None:
        """Every line has a field for each name: count commas, and parse only if they are wrong."""
        letters = np.frombuffer(rows if rows.endswith(b"\n") else rows + b"\n", np.uint8)
        ends = np.flatnonzero(letters == ord("\n"))
        places = np.flatnonzero(letters == ord(","))
        commas = np.diff(np.searchsorted(places, ends), prepend=0)
        if not rows or (b'"' not in rows and np.all(commas == len(self.names) - 1)):
            return
        for row, fields in enumerate(self._records(rows)):
            if len(fields) != len(self.names):
                self.fault(row, f"{len(fields)} fields, but line 1 names {len(self.names)} columns")

    def _read(self, rows: bytes, is_word: Callable[[str], bool]) -> DataFrame:
        import pandas

        named = enumerate(self.names)
        names = [name if name in self.columns else f"column {i + 1}" for i, name in named]
        if not rows:
            return pandas.DataFrame({name: pandas.Series(dtype=str) for name in names})
        try:
            return pandas.read_csv(
                io.BytesIO(rows),
                header=None,
                names=names,
                index_col=False,
                dtype={name: str for name in names if is_word(name)},
                na_filter=False,  # a node may be called NA
                skipinitialspace=True,
                low_memory=False,  # one type for all of a column
                encoding="utf-8",
            )
        except (ValueError, pandas.errors.ParserError) as error:
            raise UserError(f"cannot read {self.path}: {error}") from error

    def _take_nameless(self) -> list[str]:
        """Take the columns without a name out of the frame; say which had anything in them."""
        nameless = [name for name in self.frame.columns if name not in self.columns]
        told = [name for name in nameless if self.frame[name].astype(str).str.strip().any()]
        if nameless:
            self.frame = self.frame[self.columns]
        return told


def _without_record(content: bytes) -> bytes:
    """What follows the first record, which may hold line ends in quotes."""
    text = io.StringIO(content.decode(), newline="")
    next(csv.reader(text))
    return text.read().encode()
