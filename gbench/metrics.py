"""Every metric: what computes it, which labels it is for, which way is better, how it is printed.

This table is the only place that says so; adding a metric is adding a row. Nothing here imports
torch: a row's function is found when its first value is computed. A metric of one's own is a
function of (logits, y) in the folder given by --config-dir, which a dataset's YAML names as
`metric: my_module.my_function`, with the direction beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gbench.errors import UserError, unknown

Direction = Literal["max", "min"]

# What labels are. classes: (T,) int64; tasks: (T, K) of 0, 1 and NaN where a label is missing;
# numbers: (T, K) of any, and NaN; links: (T, 1), above 0 for a pair that is linked.
Labels = Literal["classes", "tasks", "numbers", "links"]

# What a metric's function is called with.
# logits: (logits, y) as the model and the dataset have them.
# answers: (y, answer) as scikit-learn has them: the class of the largest logit, or of each task
#   whether its logit is above 0.
# scores: (y, score) of each column by itself, and the mean over columns is taken: of tasks, numbers
#   and links the logits, of classes each class's probability, against all other classes.
Input = Literal["logits", "answers", "scores"]

# Without what in the labels a metric has no value: see gbench/train/undefined.py for the sentences.
Need = Literal["a label", "two classes", "two numbers", "k others"]


@dataclass(frozen=True)
class Metric:
    """One metric; `function` is a dotted name."""

    name: str
    function: str
    labels: tuple[Labels, ...]
    input: Input = "logits"
    direction: Direction = "max"
    percent: bool = True  # a fraction that papers print as a percentage
    needs: Need = "a label"
    options: Mapping[str, Any] = field(default_factory=dict)  # of the function, by name
    loss: str = ""  # that own data is trained on unless it says; empty: the usual one of its labels

    @property
    def is_own(self) -> bool:
        """Whether it is a function of the user's own."""
        return self.name == self.function


_TRAIN, _SKLEARN = "gbench.train.metrics.", "sklearn.metrics."
_ALL: tuple[Labels, ...] = ("classes", "tasks", "numbers", "links")

# Of each kind of labels the first metric is the usual one.
METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _TRAIN + "accuracy", ("classes",)),
        Metric("rocauc", _SKLEARN + "roc_auc_score", ("tasks", "classes", "links"), "scores",
               needs="two classes"),
        Metric("ap", _SKLEARN + "average_precision_score", ("tasks", "links"), "scores",
               needs="two classes"),
        Metric("auprc", _TRAIN + "area_under_precision_recall", ("tasks", "links"), "scores",
               needs="two classes"),
        Metric("f1-macro", _TRAIN + "f1", ("classes", "tasks"), options={"average": "macro"}),
        Metric("f1-micro", _TRAIN + "f1", ("classes", "tasks"), options={"average": "micro"}),
        Metric("balanced-accuracy", _TRAIN + "balanced_accuracy", ("classes", "tasks"), "answers",
               needs="two classes"),
        Metric("mcc", _SKLEARN + "matthews_corrcoef", ("classes", "tasks"), "answers",
               percent=False, needs="two classes"),
        Metric("ece", _TRAIN + "calibration_error", ("classes",), direction="min"),
        Metric("mae", _TRAIN + "mean_absolute_error", ("numbers",), direction="min", percent=False,
               loss="l1"),
        Metric("rmse", _TRAIN + "root_mean_squared_error", ("numbers",), direction="min",
               percent=False),
        Metric("r2", _SKLEARN + "r2_score", ("numbers",), "scores", percent=False,
               needs="two numbers"),
        Metric("spearman", _TRAIN + "spearman", ("numbers",), "scores", percent=False,
               needs="two numbers"),
    )
}  # fmt: skip
AT_K = "hits@K"


def find(name: str) -> Metric:
    """The metric of this name: one of the table, hits@K of any K, or a function of the user's own.

    Raises UserError for any other.
    """
    if name in METRICS:
        return METRICS[name]
    if re.fullmatch(r"hits@[1-9]\d*", name):
        k = int(name.removeprefix("hits@"))
        return Metric(name, _TRAIN + "hits", ("links",), needs="k others", options={"k": k})
    if is_dotted(name):
        return Metric(name, name, _ALL, percent=False)
    hint = "One of your own is named as my_module.my_function"
    raise unknown("metric", name, [*METRICS, AT_K], hint)


def fitting(labels: Labels) -> list[str]:
    """The names of the metrics that such labels can be judged by."""
    names = [metric.name for metric in METRICS.values() if labels in metric.labels]
    return [AT_K, *names] if labels == "links" else names


def usual(labels: Labels) -> str:
    """The metric of own data with such labels that names none."""
    return fitting(labels)[0]


def is_percent(name: str) -> bool:
    """Whether papers print it as a percentage; one that gbench does not know is a plain number."""
    try:
        return find(name).percent
    except UserError:  # of a record from elsewhere
        return False


def is_dotted(name: str) -> bool:
    """Whether it is the name of a function in a module: my_module.my_function."""
    first, *others = name.split(".")
    return bool(others) and all(part.isidentifier() for part in (first, *others))
