"""What one finished run says of each item of a part: labels, answers and probabilities.

Legend: T items (nodes, graphs or pairs of nodes), C classes, K tasks or targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gbench.figures import counted
from gbench.metrics import Labels
from gbench.predictions import write

if TYPE_CHECKING:
    from pandas import DataFrame

Scale = Literal["probability", "value", "score"]
Array = np.ndarray[Any, Any]

NO_LABEL = -1  # in `true`, of classes
WORDS = {"probability": "p", "value": "value", "score": "score"}  # before the name of a class


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers of one run, in the order of the dataset.

    Classes: the softmax of the logits, and the class of the largest (the first of several alike).
    Tasks and links: the sigmoid of each logit, and 1 where the logit is above 0 (of links regressed
    to 0 and 1, above 1/2). Numbers: the answers as they are. With a loss of the user's own, of
    which nobody knows what its logits mean, classes, tasks and links keep them as they are: `scale`
    is "score" then.

    Shapes: items (T,) int64 positions in the dataset; ids (T,) str; graph (T,) str or None, of
    nodes of several graphs; ends (T, 2) str or None, of pairs; parts (T,) str, train, valid, test,
    several joined by + where a split's parts share items, empty, or new of new data; true (T,)
    int64 with -1 where there is no label, or (T, K) float with NaN there; scores (T, C) or (T, K)
    float64; predicted (T,) int64 or (T, K) float64.
    """

    run: str
    model: str
    data: str
    seed: int
    fold: int
    split: str  # train, valid, test, all, or new data's folder
    metric: str
    labels: Labels
    classes: tuple[str, ...]  # names of classes, tasks or targets; numbers where they have none
    items: Array
    ids: Array
    graph: Array | None
    true: Array
    scores: Array
    predicted: Array
    parts: Array
    ends: Array | None = None
    scale: Scale = "probability"
    protocol: str = ""  # the split's name, as papers call it
    identity: str = ""
    fingerprint: str = ""  # of the data that were asked about
    evaluator: str = ""  # OGB's name of its own, where it judges
    notes: tuple[str, ...] = ()  # what a reader has to know

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<Predictions of {self.run}: {counted(len(self.items), 'item')} of {self.split}>"

    @property
    def is_labelled(self) -> Array:
        """What has a label. Shapes: → (T,) of classes, else (T, K), bool."""
        return self.true != NO_LABEL if self.labels == "classes" else ~np.isnan(self.true)

    @property
    def is_right(self) -> Array:
        """1 where the answer is the label, 0 where it is not, NaN without one; of numbers NaN.

        Shapes: → (T,) of classes, else (T, K), float64.
        """
        if self.labels == "numbers":
            return np.full(self.true.shape, np.nan)
        return np.where(self.is_labelled, self.predicted == self.true, np.nan)

    @property
    def residual(self) -> Array:
        """The answer less the label, of numbers; NaN without one. Shapes: → (T, K)."""
        return np.asarray(self.predicted - self.true)

    def rows(self, chosen: Any) -> Predictions:
        """The same of some items. Shapes: a mask (T,) or positions."""
        names = ("items", "ids", "graph", "true", "scores", "predicted", "parts", "ends")
        given = {name: getattr(self, name) for name in names}
        kept: dict[str, Any] = {k: None if v is None else v[chosen] for k, v in given.items()}
        return replace(self, **kept)

    def frame(self) -> DataFrame:
        """A row for each item, as `gbench predict` writes it.

        item, its position in the dataset; graph and id (of links source and target) as in the
        user's files; split, the part it is in; true and predicted, names of classes or numbers,
        empty without a label, of several tasks or targets a column each (true_NAME); p_NAME, the
        probability of each class or task (p alone of links and one task; score_NAME with a loss of
        one's own), none for numbers, whose prediction is all there is; fold, seed, run.
        """
        import pandas

        return pandas.DataFrame(
            self.told_of_items()
            | self.told_of_answers()
            | {"fold": self.fold, "seed": self.seed, "run": self.run}
        )

    def told_of_items(self) -> dict[str, Any]:
        """The columns of `frame` that say which item it is."""
        columns: dict[str, Any] = {"item": self.items}
        if self.graph is not None:
            columns["graph"] = self.graph
        if self.ends is None:
            columns["id"] = self.ids
        else:
            columns["source"], columns["target"] = self.ends.T
        return {**columns, "split": self.parts}

    def told_of_answers(self) -> dict[str, Any]:
        """The columns of `frame` with labels, answers and probabilities."""
        word = WORDS[self.scale]
        if self.labels == "classes":
            names = np.array([*self.classes, ""], dtype=object)  # the last, -1, is no label
            scores = {f"{word}_{name}": self.scores[:, k] for k, name in enumerate(self.classes)}
            return {"true": names[self.true], "predicted": names[self.predicted], **scores}
        is_one = self.scores.shape[1] == 1
        columns: dict[str, Any] = {}
        for k, end in enumerate([""] if is_one else [f"_{name}" for name in self.classes]):
            for name in ("true", "predicted"):
                values = getattr(self, name)[:, k]
                columns[f"{name}{end}"] = values if self.labels == "numbers" else _bits(values)
            if self.labels != "numbers":
                columns[f"{word}{end}"] = self.scores[:, k]
        return columns

    def arrays(self) -> dict[str, Any]:
        """Everything by name, as the .npz file has it; `np.load` reads it without pickle.

        Of OGB's sets there are also `y_true` and `y_pred`, which OGB's evaluators read. ogbn-:
        labels and classes, (T, 1) int64; ogbg-: labels with NaN, and probabilities or values,
        (T, K). OGB has files of its own to be sent in (`save_test_submission`) for its three LSC
        sets alone, which gbench does not have.
        """
        named = {"ids": self.ids, "split": self.parts, "graph": self.graph, "ends": self.ends}
        arrays: dict[str, Any] = {
            "items": self.items,
            **{key: value.astype(str) for key, value in named.items() if value is not None},
            "true": self.true,
            "predicted": self.predicted,
            "scores": self.scores,
            "classes": np.array(self.classes, dtype=str),
            "fold": self.fold,
            "seed": self.seed,
            "run": self.run,
        }
        if self.evaluator and self.labels == "classes":
            arrays |= {"y_true": self.true[:, None], "y_pred": self.predicted[:, None]}
        elif self.evaluator:
            arrays |= {"y_true": self.true, "y_pred": self.scores}
        return arrays

    def write(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write a .csv, .parquet or .npz file, whole or not at all.

        Raises UserError for another ending, for a file that is there already unless `overwrite`,
        for what cannot be written, and for .parquet without pyarrow.
        """
        write.check(Path(path), overwrite=overwrite)
        write.put(self.frame, self.arrays, Path(path))


def names_of(classes: Sequence[str], number: int) -> tuple[str, ...]:
    """Names of classes or tasks, their numbers where they have none of their own."""
    is_told = len(classes) == len({*classes}) == number
    return tuple(classes) if is_told else tuple(map(str, range(number)))


def _bits(values: Array) -> Array:
    """0 and 1 as whole numbers, and nothing where there is no label."""
    import pandas

    return np.asarray(pandas.array(values, dtype="Float64").astype("Int64"), dtype=object)
