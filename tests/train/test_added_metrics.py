"""Metrics against closed forms and other packages' code: each kind of labels, gaps, no class."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn
from torch import Tensor
from torchmetrics.functional import classification, regression

from gbench.metrics import METRICS, find
from gbench.train.metrics import value_of
from gbench.train.undefined import undefined

CLASSES = [name for name, metric in METRICS.items() if "classes" in metric.labels]
COLUMNS = [
    (name, kind)
    for name, metric in METRICS.items()
    for kind in metric.labels
    if kind in ("tasks", "numbers")
]


def value(name: str, logits: Tensor, y: Tensor) -> float:
    return value_of(find(name), logits, y)


def of_classes(rows: int = 200, classes: int = 4, absent: int | None = None) -> tuple[Tensor, ...]:
    """Logits that are right more often than by chance; of bfloat16's values. No row is `absent`."""
    generator = torch.Generator().manual_seed(0)
    kept = torch.tensor([c for c in range(classes) if c != absent])
    y = kept[torch.randint(0, len(kept), (rows,), generator=generator)]
    logits = torch.randn(rows, classes, generator=generator)
    logits[torch.arange(rows), y] += 0.7
    return logits.bfloat16().float(), y


def of_columns(kind: str, columns: int = 3) -> tuple[Tensor, ...]:
    """Logits and labels, a third of them missing."""
    generator = torch.Generator().manual_seed(1)
    y = torch.randn(120, columns, generator=generator)
    logits = (y + torch.randn(120, columns, generator=generator)).bfloat16().float()
    y = (y > 0.3).float() if kind == "tasks" else y
    y[torch.rand(120, columns, generator=generator) < 0.3] = math.nan
    return logits, y


# --- closed forms -----------------------------------------------------------------------------

ANSWERED = torch.eye(3)[[0, 0, 1, 1, 1, 2]]  # the classes answered: 0 0 1 1 1 2
TRUTH = torch.tensor([0, 1, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 4 / 6),
        ("f1-micro", 4 / 6),
        # F1: class 0 has TP 1, FP 1; class 1 TP 2, FP 1, FN 1; class 2 TP 1, FN 1
        ("f1-macro", (2 / 3 + 4 / 6 + 2 / 3) / 3),
        ("balanced-accuracy", (1 + 2 / 3 + 1 / 2) / 3),
        # Gorodkin's R_K: (c s - Σ p_k t_k) / sqrt((s² - Σ p_k²)(s² - Σ t_k²))
        ("mcc", (4 * 6 - (2 * 1 + 3 * 3 + 1 * 2)) / math.sqrt((36 - 14) * (36 - 14))),
    ],
)
def test_classes_closed_forms(name: str, expected: float) -> None:
    assert value(name, ANSWERED, TRUTH) == pytest.approx(expected, abs=1e-7)


def test_calibration_error_closed_form() -> None:
    """Four rows of confidence 0.8 of which three are right, one of 0.6 that is wrong."""
    logits = torch.tensor([[0.8, 0.2]] * 4 + [[0.4, 0.6]]).log()
    y = torch.tensor([0, 0, 0, 1, 0])
    expected = 4 / 5 * abs(0.75 - 0.8) + 1 / 5 * abs(0 - 0.6)
    assert value("ece", logits, y) == pytest.approx(expected, abs=1e-7)


def test_calibration_error_puts_an_edge_into_the_bin_below() -> None:
    """Guo et al.: bins (0, 1/15], ...: certain rows are in the last, and beside no other."""
    logits = torch.tensor([[60.0, 0.0], [60.0, 0.0], [0.0, 0.0]])
    assert value("ece", logits, torch.tensor([0, 1, 0])) == pytest.approx(1 / 3 + 1 / 6)


def test_area_under_precision_recall_closed_form() -> None:
    """Ranks + - + -: precision 1, 1/2, 2/3, 1/2 at recall 1/2, 1/2, 1, 1, and 1 at recall 0."""
    logits, y = torch.tensor([[4.0], [3.0], [2.0], [1.0]]), torch.tensor([[1.0], [0], [1], [0]])
    trapezoids = 1 / 2 * 1 + 1 / 2 * (1 / 2 + 2 / 3) / 2
    assert value("auprc", logits, y) == pytest.approx(trapezoids)
    assert value("ap", logits, y) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)


def test_numbers_closed_forms() -> None:
    logits = torch.tensor([[1.0], [2.0], [4.0], [3.0]])
    y = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    assert value("r2", logits, y) == pytest.approx(1 - 2 / 5)
    assert value("rmse", logits, y) == pytest.approx(math.sqrt(2 / 4))
    assert value("spearman", logits, y) == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_ties_of_spearman_have_their_mean_rank() -> None:
    x, y = torch.tensor([1.0, 2, 2, 3]), torch.tensor([1.0, 3, 2, 4])
    ranks = np.corrcoef([1, 2.5, 2.5, 4], [1, 3, 2, 4])[0, 1]
    assert value("spearman", x.view(-1, 1), y.view(-1, 1)) == pytest.approx(ranks)
    assert value("spearman", torch.ones(4, 1), y.view(-1, 1)) == 0.0


def test_f1_of_tasks_closed_form() -> None:
    logits = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    y = torch.tensor([[1.0, math.nan], [0.0, 1.0], [0.0, 0.0]])
    # task 0: TP 1, FP 1; task 1: FN 1
    assert value("f1-macro", logits, y) == pytest.approx((2 / 3 + 0) / 2)
    assert value("f1-micro", logits, y) == pytest.approx(2 / (2 + 1 + 1))


# --- other packages' code ----------------------------------------------------------------------


def theirs_of_classes(name: str, logits: Tensor, y: Tensor) -> float:
    count, said = logits.size(1), logits.double().softmax(-1)
    answer = {
        "accuracy": lambda: classification.multiclass_accuracy(logits, y, count, average="micro"),
        "f1-micro": lambda: classification.multiclass_f1_score(logits, y, count, average="micro"),
        "f1-macro": lambda: classification.multiclass_f1_score(logits, y, count, average="macro"),
        "balanced-accuracy": lambda: sklearn.balanced_accuracy_score(y, logits.argmax(-1)),
        "mcc": lambda: classification.multiclass_matthews_corrcoef(logits, y, count),
        "ece": lambda: classification.multiclass_calibration_error(said, y, count, n_bins=15),
        "rocauc": lambda: sklearn.roc_auc_score(y, said, multi_class="ovr", average="macro"),
    }[name]
    return float(answer())


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_judged_as_by_other_packages(name: str) -> None:
    logits, y = of_classes()
    assert value(name, logits, y) == pytest.approx(theirs_of_classes(name, logits, y), abs=1e-6)
    assert value(name, logits.bfloat16(), y) == value(name, logits, y)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_class_that_does_not_occur_is_left_out(name: str) -> None:
    logits, y = of_classes(absent=2)
    found = value(name, logits, y)
    assert math.isfinite(found)
    if name == "rocauc":
        said = logits.double().softmax(-1)
        areas = [sklearn.roc_auc_score(y == c, said[:, c]) for c in (0, 1, 3)]
        assert found == pytest.approx(sum(areas) / 3)
    else:
        assert found == pytest.approx(theirs_of_classes(name, logits, y), abs=1e-6)


def test_a_class_that_neither_occurs_nor_is_answered_does_not_count() -> None:
    """As scikit-learn has it: macro F1 of three of five classes is that of the three."""
    wide = torch.cat([ANSWERED, torch.full((6, 2), -9.0)], 1)
    assert value("f1-macro", wide, TRUTH) == value("f1-macro", ANSWERED, TRUTH)
    assert value("balanced-accuracy", wide, TRUTH) == value("balanced-accuracy", ANSWERED, TRUTH)


def test_two_classes_have_the_area_of_one_score() -> None:
    logits, y = of_classes(classes=2)
    expected = sklearn.roc_auc_score(y, logits[:, 1] - logits[:, 0])
    assert value("rocauc", logits, y) == pytest.approx(expected)


def trapezoids(precision: Tensor, recall: Tensor) -> Tensor:
    """Of a curve whose recall falls."""
    return (precision[1:] + precision[:-1]) / 2 * -recall.diff()


def theirs_of_columns(name: str, logits: Tensor, y: Tensor) -> float:
    """The mean over columns of what others say of the rows that have a label."""
    values = []
    for said, truth in zip(logits.T, y.T, strict=True):
        s, t = said[~truth.isnan()], truth[~truth.isnan()]
        answer = {
            "rocauc": lambda s, t: classification.binary_auroc(s, t.long()),
            "ap": lambda s, t: classification.binary_average_precision(s, t.long()),
            "auprc": lambda s, t: trapezoids(
                *classification.binary_precision_recall_curve(s.double(), t.long())[:2]
            ).sum(),
            "f1-macro": lambda s, t: classification.binary_f1_score(s, t),
            "f1-micro": lambda s, t: classification.binary_f1_score(
                logits[~y.isnan()], y[~y.isnan()]
            ),
            "balanced-accuracy": lambda s, t: classification.multiclass_accuracy(
                (s > 0).long(), t.long(), 2, average="macro"
            ),
            "mcc": lambda s, t: classification.binary_matthews_corrcoef(s.sigmoid(), t.long()),
            "mae": lambda s, t: (logits - y).abs()[~y.isnan()].mean(),
            "rmse": lambda s, t: regression.mean_squared_error(s, t, squared=False),
            "r2": lambda s, t: regression.r2_score(s.double(), t.double()),
            "spearman": lambda s, t: regression.spearman_corrcoef(s.double(), t.double()),
        }[name]  # fmt: skip
        values.append(float(answer(s, t)))
    return sum(values) / len(values)


@pytest.mark.parametrize(("name", "kind"), COLUMNS)
def test_columns_are_judged_as_by_other_packages_without_their_gaps(name: str, kind: str) -> None:
    logits, y = of_columns(kind)
    assert value(name, logits, y) == pytest.approx(theirs_of_columns(name, logits, y), abs=1e-6)
    assert value(name, logits.bfloat16(), y) == pytest.approx(value(name, logits, y), abs=1e-7)


@pytest.mark.parametrize(("name", "kind"), COLUMNS)
def test_a_column_without_what_a_metric_needs_does_not_count(name: str, kind: str) -> None:
    logits, y = of_columns(kind)
    nothing, alike = torch.full_like(y[:, :1], math.nan), torch.zeros_like(y[:, :1])
    wide = torch.cat([y, nothing], 1), torch.cat([logits, logits[:, :1]], 1)
    assert value(name, wide[1], wide[0]) == pytest.approx(value(name, logits, y))
    if find(name).needs != "a label":
        wide = torch.cat([y, alike], 1), torch.cat([logits, logits[:, :1]], 1)
        assert value(name, wide[1], wide[0]) == pytest.approx(value(name, logits, y))


@pytest.mark.parametrize(("name", "kind"), COLUMNS)
def test_what_is_undefined_is_said_and_nan(name: str, kind: str) -> None:
    logits, y = of_columns(kind)
    assert undefined(name, y * math.nan) == "nothing is labelled"
    assert math.isnan(value(name, logits, y * math.nan))
    said = undefined(name, y * 0)
    assert bool(said) == (find(name).needs != "a label") == math.isnan(value(name, logits, y * 0))
    if said:
        alone = "one class" if kind == "tasks" else "one number"
        assert said == f"every task has labels of {alone} alone"


@pytest.mark.parametrize("name", CLASSES)
def test_one_class_alone_is_said_where_it_leaves_no_value(name: str) -> None:
    logits, y = of_classes()
    needs = find(name).needs == "two classes"
    assert bool(undefined(name, y * 0)) == needs == math.isnan(value(name, logits, y * 0))
    assert undefined(name, y[:0]) == "nothing is labelled"


@pytest.mark.parametrize(
    "name", [name for name, m in METRICS.items() if {"classes", "tasks"} & {*m.labels}]
)
def test_a_logit_that_overflowed_is_above_all_others(name: str) -> None:
    logits, y = of_classes(60) if "classes" in METRICS[name].labels else of_columns("tasks")
    logits[3, 0], logits[4, 1] = 1e9, -1e9
    expected = value(name, logits, y)
    logits[3, 0], logits[4, 1] = math.inf, -math.inf
    assert value(name, logits, y) == expected


@pytest.mark.parametrize("name", ["rocauc", "ap", "auprc"])
def test_links_are_judged_as_one_task(name: str) -> None:
    logits, y = of_columns("tasks", columns=1)
    logits, y = logits[~y.isnan()].view(-1, 1), y[~y.isnan()].view(-1, 1)
    assert "links" in find(name).labels
    assert value(name, logits, y) == pytest.approx(theirs_of_columns(name, logits, y), abs=1e-6)


@pytest.mark.parametrize("name", [*METRICS, "hits@1", "hits@37"])
def test_a_row_of_the_table_is_whole(name: str) -> None:
    metric = find(name)
    assert metric.name == name and metric.labels and not metric.is_own
    assert (metric.direction == "min") == (name in ("mae", "rmse", "ece"))
