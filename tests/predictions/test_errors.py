"""The figures of `gbench errors`, against the formula, scikit-learn and counts by hand."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from gbench.predictions import by_class
from gbench.predictions.calibration import calibration
from gbench.predictions.grouped import Measure, grouped
from gbench.predictions.predictions import Predictions
from gbench.predictions.report import report
from gbench.records import mistakes as kept
from gbench.train.metrics import calibration_error


def made(scores, true, labels="classes", **changes):
    scores = np.array(scores, dtype=float)
    true = np.array(true)
    if labels == "classes":
        predicted = scores.argmax(axis=1)
    else:
        predicted = scores if labels == "numbers" else (scores > 0.5).astype(float)
    usual = {
        "run": "r", "model": "gcn", "data": "cora", "seed": 0, "fold": 0, "split": "test",
        "metric": "accuracy", "labels": labels, "classes": tuple("abcd"[: scores.shape[1]]),
        "items": np.arange(len(true)), "graph": None, "true": true, "scores": scores,
        "ids": np.array([f"n{k}" for k in range(len(true))], dtype=object),
        "predicted": predicted, "parts": np.full(len(true), "test", dtype=object),
        "scale": "value" if labels == "numbers" else "probability",
    }  # fmt: skip
    return Predictions(**{**usual, **changes})


@pytest.fixture
def answers():
    draw = np.random.default_rng(0)
    logits, true = 2 * draw.normal(size=(300, 4)), draw.integers(3, size=300)  # nothing is d
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits, scores, true


def test_classes_are_as_scikit_learn_has_them(answers):
    _, scores, true = answers
    found = report([made(scores, true)])
    predicted = scores.argmax(axis=1)
    assert found.confusion == confusion_matrix(true, predicted, labels=range(4)).tolist()
    theirs = precision_recall_fscore_support(true, predicted, labels=range(4), zero_division=0)
    ours = [(c.precision, c.recall, c.f1, c.support) for c in found.classes]
    np.testing.assert_allclose(ours, np.transpose(theirs))


def test_the_calibration_error_is_gbenchs_own_metric_and_the_formula(answers):
    logits, scores, true = answers
    found = report([made(scores, true)]).calibration
    own = calibration_error(torch.from_numpy(logits), torch.from_numpy(true))
    assert found.ece == pytest.approx(own)
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == true
    total = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        assert found.bins[k].answers == inside.sum()
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
            assert found.bins[k].accuracy == pytest.approx(right[inside].mean())
    assert found.ece == pytest.approx(total)


def test_certainty_is_in_the_last_bin():
    found = calibration(np.array([1.0, 1 / 15, 14.5 / 15]), np.array([True, True, False]))
    assert [b.answers for b in found.bins] == [1, *[0] * 13, 2]


def test_several_runs_are_taken_together_and_what_all_get_wrong_is_named():
    one = made([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9]], [0, 1, 0, -1], run="r0")
    two = made([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9]], [0, 1, 0, -1], run="r1")
    found = report([one, two], conflict=np.array([True, True, True, True]))
    assert found.confusion == [[3, 1], [2, 0]]
    assert (found.items, found.answers) == (3, 6)
    assert [each.id for each in found.wrong] == ["n1"]
    assert found.wrong[0].answers == ["a"]
    assert found.twins == 1
    assert found.notes == ["left out: 1 item without a label"]
    assert report([one]).twins == 0
    assert [each.id for each in report([one]).wrong] == ["n1", "n2"]
    json.dumps(found.plain())


def test_items_that_one_fold_alone_tests_are_wrong_if_it_is():
    one = made([[0.9, 0.1], [0.9, 0.1]], [1, 0], run="r0")
    two = made([[0.9, 0.1], [0.1, 0.9]], [0, 1], run="r1", items=np.array([1, 2]))
    assert [each.item for each in report([one, two]).wrong] == [0]


def test_tasks_leave_out_what_has_no_label():
    true = [[1.0, np.nan], [0.0, 1.0], [1.0, 0.0], [np.nan, np.nan]]
    scores = [[0.9, 0.9], [0.6, 0.8], [0.7, 0.6], [0.9, 0.9]]
    found = report([made(scores, true, labels="tasks")])
    first, second = found.tasks
    assert (first.labelled, first.positives, second.labelled) == (3, 2, 2)
    assert first.accuracy == pytest.approx(2 / 3)
    assert first.precision == pytest.approx(2 / 3)
    assert (first.rocauc, second.rocauc) == (1.0, 1.0)
    assert [each.true for each in found.wrong] == ["01", "10"]
    gaps = [0.9, 0.6, 0.7, 0.8, 0.6]
    bins = found.calibration.bins
    assert sum(b.answers for b in bins) == len(gaps)
    assert sum(b.confidence * b.answers for b in bins if b.answers) == pytest.approx(sum(gaps))


def test_numbers_have_their_residuals():
    true = [[1.0], [2.0], [np.nan], [4.0]]
    found = report([made([[1.5], [1.0], [9.0], [4.0]], true, labels="numbers")])
    (of,) = found.residuals
    assert (of.labelled, of.mean_absolute) == (3, 0.5)
    assert of.root_mean_square == pytest.approx(np.sqrt(1.25 / 3))
    assert of.bias == pytest.approx(-0.5 / 3)
    assert of.quantiles["0.5"] == 0.0
    assert [each["id"] for each in found.worst] == ["n1", "n0", "n3"]
    assert (found.calibration, found.wrong) == (None, None)


def test_bins_hold_about_as_many_items_and_a_frequent_number_is_alone():
    values = np.array([1, 1, 2, 3, 4, 5, 6, 7, 8, 9, *[50] * 10], dtype=float)
    totals, counts = np.arange(20.0), np.ones(20, dtype=int)
    found = grouped(Measure("degree", "", values), totals, counts)
    labels = [b.label for b in found.bins]
    assert labels == ["1 to 3", "4 to 7", "8 to 9", "50"]
    assert [b.score for b in found.bins] == [1.5, 5.5, 8.5, 14.5]
    few = grouped(Measure("degree", "", np.array([2.0, 2, 3, np.nan])), totals[:4], counts[:4])
    assert [(b.label, b.items) for b in few.bins] == [("2", 2), ("3", 1), ("none", 1)]
    shares = Measure("homophily", "", np.array([0, 0.2, 0.21, 1.0]), is_share=True)
    told = [(b.label, b.items) for b in grouped(shares, totals[:4], counts[:4]).bins]
    assert told == [("0 to 0.2", 2), ("0.2 to 0.4", 1), ("0.8 to 1", 1)]


def test_what_is_kept_is_read_again_and_a_damaged_file_is_none(tmp_path):
    given = kept.Kept(("a", "b"), [[3, 1], [0, 2]], [[0, 0, 0], [6, 4.5, 5]])
    kept.write(given, tmp_path, "2026-01-01")
    assert kept.read(tmp_path, "2026-01-01") == given
    assert kept.read(tmp_path, "2026-01-02") is None, "trained again since"
    assert given.plus(given).confusion == [[6, 2], [0, 4]]
    path = tmp_path / kept.FILE_NAME
    text = path.read_text()
    for damaged in (text[:-5], text.replace("[3, 1]", "[3]"), text.replace("4.5", "NaN"), "[]"):
        path.write_text(damaged)
        assert kept.read(tmp_path, "2026-01-01") is None
    assert kept.read(tmp_path / "elsewhere", "2026-01-01") is None


def test_shares_of_nothing_are_zero():
    assert by_class.of_counts("a", 0, 0, 0)[3:] == (0.0, 0.0, 0.0)
