"""A table or arrays as a file: .csv, .parquet or .npz, by its ending."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gbench.errors import UserError
from gbench.folders import written_whole

if TYPE_CHECKING:
    from pandas import DataFrame

ENDINGS = (".csv", ".parquet", ".npz")


def check(path: Path, *, overwrite: bool = False) -> None:
    """Raise UserError for a file that `put` could not write, before anything is computed."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        what = f"what is {ending}?" if ending else "its name has no ending."
        raise UserError(f"--output {path}: {what} There are {' '.join(ENDINGS)}")
    if path.is_dir() or (path.exists() and not overwrite):
        raise UserError(f"{path} is there already: give --output another name")
    if ending == ".parquet" and find_spec("pyarrow") is None:
        raise UserError(
            f"--output {path}: .parquet is written by pyarrow, which is not installed: pip install "
            "pyarrow; or give the file the ending .csv or .npz"
        )
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")


def put(
    frame: Callable[[], DataFrame], arrays: Callable[[], Mapping[str, Any]], path: Path
) -> None:
    """Write a table as .csv or .parquet, or arrays as .npz, whole or not at all.

    Raises UserError where it cannot be written.
    """
    ending, content = path.suffix.lower(), io.BytesIO()
    if ending == ".csv":
        content.write(as_csv(frame()).encode())
    elif ending == ".parquet":
        importlib.import_module("pyarrow")
        frame().to_parquet(content, index=False)
    else:
        np.savez_compressed(content, **arrays())
    try:
        with written_whole(path) as file:
            file.write(content.getvalue())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def as_csv(frame: DataFrame) -> str:
    """The table as text: floats with as many digits as make them the same again."""
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text
