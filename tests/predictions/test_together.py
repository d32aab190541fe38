"""Several runs together, against averages and votes by hand."""

from dataclasses import replace

import numpy as np
import pytest

from gbench.errors import UserError
from gbench.predictions.predictions import Predictions
from gbench.predictions.together import check_together, ensemble


def made(scores, items=None, labels="classes", scale="probability", **changes):
    """Predictions of these scores about items 0, 1, ..., whose labels are 0."""
    scores = np.array(scores, dtype=float)
    items = np.arange(len(scores)) if items is None else np.array(items)
    true = np.zeros(len(items), dtype=np.int64) if labels == "classes" else np.zeros(scores.shape)
    predicted = {
        "classes": lambda: scores.argmax(axis=1),
        "numbers": lambda: scores,
    }.get(labels, lambda: (scores > 0.5).astype(float))()
    usual = {
        "run": "r", "model": "gcn", "data": "cora", "seed": 0, "fold": 0, "split": "test",
        "metric": "accuracy", "labels": labels, "classes": tuple("abc"[: scores.shape[1]]),
        "items": items, "ids": np.array([f"n{k}" for k in items], dtype=object), "graph": None,
        "true": true, "scores": scores, "predicted": predicted,
        "parts": np.full(len(items), "test", dtype=object), "scale": scale,
    }  # fmt: skip
    return Predictions(**{**usual, **changes})


def test_probabilities_are_averaged_and_answers_are_voted_on():
    runs = [
        made([[0.6, 0.4], [0.2, 0.8]], run="r0", seed=0),
        made([[0.6, 0.4], [0.9, 0.1]], run="r1", seed=1),
        made([[0.0, 1.0], [0.3, 0.7]], run="r2", seed=2),
    ]
    found = ensemble(runs)
    np.testing.assert_allclose(found.mean.scores, [[0.4, 0.6], [1.4 / 3, 1.6 / 3]])
    assert found.mean.predicted.tolist() == [1, 1], "the answer of the mean, not of the most"
    np.testing.assert_allclose(found.disagreement, [1 / 3, 1 / 3])
    frame = found.frame()
    assert [*frame["seed"]] == ["0 1 2"] * 2
    assert [*frame["fold"]] == ["0"] * 2
    assert [*frame["runs"]] == [3, 3]
    assert [*frame["predicted"]] == ["b", "b"]


def test_each_item_is_averaged_over_the_folds_that_test_it():
    runs = [
        made([[1, 0], [0.2, 0.8]], items=[3, 5], run="r0", fold=0),
        made([[0.4, 0.6], [0.1, 0.9]], items=[5, 9], run="r1", fold=1),
    ]
    found = ensemble(runs)
    assert found.mean.items.tolist() == [3, 5, 9]
    assert found.count.tolist() == [1, 2, 1]
    np.testing.assert_allclose(found.mean.scores[:, 0], [1, 0.3, 0.1])
    assert [*found.folds] == ["0", "0 1", "1"]
    assert [*found.runs] == ["r0", "r0 r1", "r1"]
    assert [*found.mean.ids] == ["n3", "n5", "n9"]


def test_numbers_have_the_sample_deviation_and_tasks_the_share_of_the_minority():
    numbers = ensemble([made([[1.0], [4.0]], labels="numbers"),
                        made([[3.0], [8.0]], labels="numbers", run="r1")])  # fmt: skip
    assert numbers.mean.predicted.tolist() == [[2.0], [6.0]]
    np.testing.assert_allclose(numbers.disagreement[:, 0], [np.sqrt(2), np.sqrt(8)])
    assert "std" in numbers.frame()
    alone = ensemble([made([[1.0]], labels="numbers"), made([[1.0]], [7], labels="numbers")])
    assert np.isnan(alone.disagreement).all()
    runs = [made([[p, 0.9]], labels="tasks", run=f"r{p}") for p in (0.1, 0.4, 0.45, 0.7)]
    tasks = ensemble(runs)
    np.testing.assert_allclose(tasks.disagreement, [[0.25, 0.0]])
    assert tasks.mean.predicted.tolist() == [[0.0, 1.0]]


def test_parts_that_differ_between_folds_are_not_averaged():
    other = np.array(["train", "test"], dtype=object)
    with pytest.raises(UserError, match="would average training with test"):
        ensemble([made([[1, 0], [1, 0]]), made([[1, 0], [1, 0]], parts=other, run="r1")])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, "is given twice"),
        ({"run": "b", "data": "pubmed"}, "their data are cora and pubmed"),
        ({"run": "b", "split": "geom-gcn"}, "their splits are public and geom-gcn"),
        ({"run": "b", "fingerprint": "00"}, "had changed between them"),
        ({"run": "b", "identity": "0123456789"}, "they are two settings"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(make_record, change, says):
    first = make_record()
    with pytest.raises(UserError, match=says):
        check_together([first, replace(first, **change)], one_setting=True)
    if "identity" in change:
        check_together([first, replace(first, **change)], one_setting=False)
