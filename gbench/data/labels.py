"""Labels, by one rule for CSV files, saved datasets and loaders.

The classes of a dataset are the labels that occur, whatever they are called, in increasing order.
Unlabelled is an empty place, NaN, or a marker that is stated (`unlabelled: -1`); -1 alone is a
class like any other. Infinite targets are refused by those who call this.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pandas import Series

MISSING = ("NA", "N/A", "#N/A", "NaN", "nan", "<NA>")  # as R, spreadsheets and pandas write it
BESIDE_NUMBERS = ("na", "n/a", "NAN", "null", "NULL", "None", "NaT")  # elsewhere they are words
MOST_CLASSES = 100  # of whole numbers that nobody called classes


class Classes(NamedTuple):
    """Labels as numbers of classes. Shapes: y (N,) int64, 0 where unlabelled; is_known (N,)."""

    y: np.ndarray
    is_known: np.ndarray
    names: list[str]  # in the order of their numbers


class Read(NamedTuple):
    """A column of words: its numbers (NaN where there is none) or None, and what is labelled."""

    values: np.ndarray | None  # float64
    is_known: np.ndarray
    marks: list[str]  # spellings, other than nothing, that were taken for unlabelled


def read_words(words: Series, markers: Sequence[Any] | None) -> Read:
    """Read a column of words; `markers` are what the user says is unlabelled, if anything.

    Codes that begin with 0, as in 007, are words and stay as they are written. The words True and
    False are 1 and 0 where there are no others beside them.
    """
    codes, different = _different(words)
    values, is_known = _read(different, markers)
    marks = sorted({*different[~is_known]} - {""})
    return Read(None if values is None else values[codes], is_known[codes], marks)


def _different(words: Series) -> tuple[np.ndarray, Series]:
    """Each word once, so that Python sees few, and which of them each row has."""
    import pandas

    codes, different = pandas.factorize(words)
    return codes, pandas.Series(different, dtype=words.dtype)


def _read(words: Series, markers: Sequence[Any] | None) -> tuple[np.ndarray | None, np.ndarray]:
    """The numbers, if all words that are labels are numbers; and which words are labels."""
    import pandas

    spellings = MISSING if markers is None else tuple(map(str, markers))
    is_known = ~words.isin(["", *spellings]).to_numpy(dtype=bool)
    others = words[is_known]
    if markers is None:
        beside = others.isin(BESIDE_NUMBERS).to_numpy(dtype=bool)
        if beside.any() and _numbers(others[~beside]) is not None:
            is_known[is_known] = ~beside
    else:
        as_numbers = pandas.to_numeric(words, errors="coerce").to_numpy(dtype=np.float64)
        is_known &= ~np.isin(as_numbers, numbers_of(markers))
    numbers = _numbers(words[is_known])
    if numbers is None:
        return None, is_known
    values = np.full(len(words), np.nan)
    values[is_known] = numbers
    return values, is_known


def numbers_of(markers: Sequence[Any]) -> list[float]:
    """The markers that are numbers: -1 and "-1.0" mean one thing."""
    return [float(mark) for mark in markers if type(mark) in (int, float)]


def _numbers(words: Series) -> np.ndarray | None:
    """Words as numbers if all of them are; None if some are not, or if there are none."""
    import pandas

    if not len(words) or words.str.fullmatch(r"[+-]?0\d+").any():
        return None
    as_bits = words.map({"True": 1, "TRUE": 1, "true": 1, "False": 0, "FALSE": 0, "false": 0})
    given = words if as_bits.isna().any() else as_bits
    values: np.ndarray = pandas.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64)
    return None if np.isnan(values).any() else values


def classes_of(given: np.ndarray, is_known: np.ndarray) -> Classes:
    """Number the classes that occur, in increasing order. Shapes: given (N,) of anything sorted."""
    found, numbers = np.unique(given[is_known], return_inverse=True)
    y = np.zeros(len(given), dtype=np.int64)
    y[is_known] = numbers
    return Classes(y, is_known, [name_of(value) for value in found.tolist()])


def classes_of_words(words: Series, read: Read) -> Classes:
    """The classes of a column: numbers in their order, 9 before 10, or words in theirs."""
    codes, known = _different(words[read.is_known])
    bits = ("True", "TRUE", "true", "False", "FALSE", "false")
    if read.values is None or known.isin(bits).any():
        keys = known.to_numpy(dtype=object)
    elif known.str.fullmatch(r"[+-]?\d+").all():  # of any length, where floats run together
        keys = np.array([int(word) for word in known], dtype=object)
    else:
        keys = read.values[read.is_known][np.unique(codes, return_index=True)[1]]
    y, _, names = classes_of(keys, np.ones(len(keys), dtype=bool))
    numbers = np.zeros(len(words), dtype=np.int64)
    numbers[read.is_known] = y[codes]
    return Classes(numbers, read.is_known, names)


def is_whole(values: np.ndarray) -> bool:
    """Whether all numbers but NaN are whole."""
    known = values[~np.isnan(values)]
    return bool(np.isfinite(known).all() and (known % 1 == 0).all())


def doubts(names: Sequence[str], counts: Sequence[int], where: str) -> list[str]:
    """What to tell of classes that may not be meant as such; `where` is what says `unlabelled`."""
    told = []
    if len(names) == 1:
        told.append(f"all labels are {names[0]}: there is one class, and nothing to tell apart")
    is_number = [re.fullmatch(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", name) is not None for name in names]
    if len(names) > 2 and sum(counts) < 2 * len(names):
        told.append(f"there are {len(names):,} classes for {sum(counts):,} items with a label")
    negative = [i for i, name in enumerate(names) if re.fullmatch(r"-\d+", name)]
    if len(negative) == 1 and len(names) > 2:
        told.append(_doubt(names[negative[0]], counts[negative[0]], where))
    if any(is_number):
        odd = [i for i, number in enumerate(is_number) if not number]
        told += [_doubt(names[i], counts[i], where) for i in odd if len(odd) * 2 < len(names)]
    else:
        told += [
            _doubt(name, count, where)
            for name, count in zip(names, counts, strict=True)
            if name in (*MISSING, *BESIDE_NUMBERS, "?", "unknown", "none")
        ]
    return told


def _doubt(name: str, count: int, where: str) -> str:
    return (
        f"label {name} ({count:,} times) is a class; if it means unlabelled, "
        f"write `unlabelled: {name if re.fullmatch(r'-[0-9]+', name) else repr(name)}` in {where}"
    )


def of_nodes_of_graphs(count: int) -> str:
    """What is said of many graphs whose nodes have the labels."""
    return (
        f"y labels the nodes of each of {count:,} graphs: write `level: node`, and splits that "
        "list graphs"
    )


def name_of(value: Any) -> str:
    """What a class or a category is called: 1 for 1.0, and else as it is written."""
    is_whole_float = isinstance(value, float) and value % 1 == 0 and abs(value) < 2**53
    return str(int(value) if is_whole_float else value)
