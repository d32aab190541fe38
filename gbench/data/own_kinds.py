"""What a folder of one's own is read into: how it is described, and what is to be predicted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gbench.data.spec import Level
from gbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from pandas import Series
    from torch import Tensor

    from gbench.data.loaders.table import Table

ABOUT = "dataset.yaml"
WORDS = ("id", "label", "graph", "source", "target", "part", "fold")  # read as they are written
FOLDS_DRAWN = 10


class Description(NamedTuple):
    """How to read a folder: what its dataset.yaml says, and the rules for what it does not."""

    level: Level
    task: str
    metric: str
    num_folds: int  # that splits.csv or masks list; 0: there is none
    said: Mapping[str, Any]
    by_graphs: bool = False  # nodes of several graphs have labels, and parts have whole graphs

    @property
    def markers(self) -> list[Any] | None:
        """What is unlabelled beside an empty place and NaN; None: the usual spellings."""
        marks = self.said.get("unlabelled")
        return None if marks is None else marks if isinstance(marks, list) else [marks]

    @property
    def plain_markers(self) -> list[int | float | str] | None:
        """The same, with a date and what else YAML reads as it is written."""
        marks = self.markers
        return marks and [m if type(m) in (int, float, str) else str(m) for m in marks]


class Items(NamedTuple):
    """What is to be predicted of N nodes or graphs. Shapes: y (N,) or (N, T), is_known (N,)."""

    ids: Series
    y: Tensor
    is_known: np.ndarray
    num_outputs: int
    classes: Sequence[str] = ()  # or targets, by name
    marks: Sequence[str] = ()  # what was taken for unlabelled
    notes: Sequence[str] = ()
    graphs: Sequence[str] = ()  # the ids of several graphs whose nodes these are

    def as_graphs(self) -> Items:
        """The graphs, to be split."""
        import numpy as np
        import pandas
        import torch

        number = len(self.graphs)
        y, is_known = torch.zeros(number, dtype=torch.long), np.ones(number, dtype=bool)
        return Items(pandas.Series(list(self.graphs)), y, is_known, 1)


def table_of(folder: Path, name: str, words: Collection[str] = ()) -> Table:
    """One of the CSV files, with ids, labels and columns of `words` as they are written."""
    from gbench.data.loaders.table import Table

    path = folder / name
    if not path.is_file():
        raise UserError(f"{folder} has no {name}: see `gbench data --help`")
    needed = {"edges.csv": ["source", "target"], "splits.csv": ["id", "part"]}.get(name, ["id"])
    return Table(
        path,
        needed,
        lambda column: column in WORDS or column in words or column.startswith("label_"),
    )


def task_of_numbers(values: np.ndarray, where: str) -> str:
    """Whole numbers are classes, others are to be regressed; UserError where it may be either."""
    import numpy as np

    from gbench.data.labels import MOST_CLASSES, is_whole

    if not is_whole(values):
        return "regression"
    count = np.unique(values[~np.isnan(values)]).size
    if count > MOST_CLASSES:
        raise UserError(
            f"{where}: label has {count:,} different whole numbers: write "
            f"`task: classification` or `task: regression` in {ABOUT} beside it"
        )
    return "classification"


def of_columns(
    ids: Series,
    y: np.ndarray,
    about: Description,
    names: Sequence[str],
    marks: Sequence[str],
    where: str,
) -> Items:
    """What is to be predicted, from columns of numbers with NaN where one is unknown.

    As classes they are one-hot rows. Raises UserError for other rows. Shapes: y (N, T) float64.
    """
    import numpy as np
    import torch

    is_known = ~np.isnan(y).all(axis=1)
    is_one_hot = (np.nansum(y, axis=1) == 1) & np.isin(y, (0, 1)).all(axis=1)
    if about.task == "classification":
        if not (is_one_hot | ~is_known).all():
            raise UserError(
                f"{where}: task: classification has one label, not {y.shape[1]}, unless each row "
                "of them has one 1 and else 0"
            )
        codes = torch.from_numpy(np.where(is_known, np.nan_to_num(y).argmax(axis=1), 0))
        return Items(ids, codes, is_known, y.shape[1], names, marks)
    notes = []
    if about.task == "multi-label" and y.shape[1] > 1 and is_one_hot[is_known].all():
        notes.append(
            f"each row of the {y.shape[1]} label columns has one 1: they are tasks of their own "
            f"(multi-label), unless {ABOUT} says `task: classification`"
        )
    return Items(ids, torch.from_numpy(y).float(), is_known, y.shape[1], names, marks, notes)
