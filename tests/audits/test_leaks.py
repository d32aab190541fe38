"""What test nodes share with training nodes, and floors, on small graphs counted by hand or not."""

from __future__ import annotations

import networkx
import numpy as np
import pytest

from gbench.audits import leaks, node_ceilings, node_floors, twins
from gbench.audits.audited import Audited
from gbench.audits.fact import Fact, Value
from gbench.audits.node_fits import adjacency, features_of, propagated
from tests.audits.made import of_nodes


def told(kind: object, data: Audited, fold: int = 0) -> dict[str, Value]:
    facts: list[Fact] = list(kind.facts(data))  # type: ignore[attr-defined]
    return {fact.fact: fact.value for fact in facts if fact.fold == fold}


def star() -> Audited:
    """A hub with six leaves, which are twins; a path of two; and a node alone."""
    edges = [(0, leaf) for leaf in range(1, 7)] + [(7, 8)]
    both = edges + [(b, a) for a, b in edges]
    x = np.eye(10, dtype=np.float32)
    x[5] = x[1]
    #    hub  leaves            path  alone
    y = [2, 1, 0, 1, 0, 1, 0, 2, 2, 1]
    return of_nodes(x, both, y, [((0, 1, 2, 7), (3, 4, 5, 8, 9)), ((0,), (1, 9))])


def test_distances() -> None:
    facts = told(leaks, star())
    assert facts["unreachable test nodes"] == 1
    assert facts["test nodes adjacent to a training node"] == 4
    assert facts["test nodes within 1 hops of train"] == 80
    assert facts["nodes within 1 hops of train"] == 90
    assert told(leaks, star(), 1)["nodes within 3 hops of train"] == 70


def test_tables() -> None:
    facts = told(leaks, star())
    # leaves 3, 4 and 5 have the twins 1 (class 1) and 2 (class 0): of a tie the smallest is copied;
    # 8 has the twin 7, with whom it shares its closed neighbourhood
    assert facts["test nodes with a train twin by neighbours"] == 4
    assert facts["copy the twin by neighbours"] == 50
    # 9 gets the training majority, class 2
    assert facts["table lookup by neighbours"] == 40
    # node 5 has the features and the neighbours of 1, and so its label
    assert facts["test nodes with a train twin by features + neighbours"] == 1
    assert facts["copy the twin by features + neighbours"] == 100
    assert facts["test nodes with a train node of the same features"] == 1
    assert facts["copy the node of the same features"] == 100
    other = told(leaks, star(), 1)
    assert other["test nodes with a train twin by neighbours"] == 0
    assert "copy the twin by neighbours" not in other
    assert other["table lookup by neighbours"] == 0


def test_no_test_label_is_read_to_answer() -> None:
    data, spoilt = star(), star()
    spoilt.y[data.splits[0].test] = 0
    for kind in (leaks, node_floors):
        assert told(kind, data) != told(kind, spoilt)  # the truth is another
    for one, other in zip(
        data.memo["logistic regression on features"],
        spoilt.memo["logistic regression on features"],
        strict=True,
    ):
        assert np.array_equal(one, other)


def test_floors_of_a_star() -> None:
    facts = told(node_floors, star())
    # leaves see the hub's class 2, 8 sees 7's, 9 gets the majority
    assert facts["majority of labelled neighbours"] == 20


@pytest.mark.parametrize("seed", range(2))
def test_label_propagation_is_its_formula(seed: int) -> None:
    graph = networkx.gnm_random_graph(30, 40, seed=seed)
    edges = list(graph.to_directed().edges)
    y = np.random.default_rng(seed).integers(0, 3, 30)
    data = of_nodes(np.ones((30, 1), dtype=np.float32), edges, y, [])
    shown = np.where(np.arange(30) < 10, y, -1)
    matrix = networkx.to_numpy_array(graph)
    degree = np.maximum(matrix.sum(1), 1)
    spread = matrix / np.sqrt(degree[:, None] * degree)
    known = (shown[:, None] == np.arange(3)).astype(float)
    # 50 rounds are a geometric series
    power = 0.9 * spread
    total = sum(np.linalg.matrix_power(power, k) for k in range(50)) * 0.1
    expected = (total + np.linalg.matrix_power(power, 50)) @ known
    assert np.allclose(propagated(adjacency(data.structure), shown, 3), expected)


def test_one_task_is_judged_by_both() -> None:
    """A feature that orders all nodes of one class above the others."""
    x = np.arange(20, dtype=np.float32)[:, None]
    y = (x > 9).astype(np.float32)
    x += 100 * y
    data = of_nodes(x, [(0, 19), (19, 0)], y, [(range(0, 20, 2), range(1, 20, 2))], "rocauc")
    facts = told(node_floors, data)
    assert facts["logistic regression on features, ROC-AUC"] == 1
    assert facts["logistic regression on features"] == 100
    assert told(node_ceilings, data)["test ROC-AUC ceiling at depth 0"] == 1
    # but 19 copies its twin 0, of the other class
    assert told(leaks, data)["table lookup by neighbours, else logistic regression"] == 90


def test_numbers() -> None:
    x = np.arange(12, dtype=np.float32)[:, None]
    y = np.concatenate([2 * x, -x], axis=1)
    y[3, 0] = np.nan
    folds = [(range(0, 12, 2), range(1, 12, 2))]
    facts = told(node_floors, of_nodes(x, [], y, folds, "mae"))
    assert 0 < float(facts["ridge on features"]) < 0.3
    ceilings = told(node_ceilings, of_nodes(x // 4, [], y, folds, "mae"))
    # the test nodes 1 and 3, 5 and 7, 9 and 11 are alike
    assert ceilings["test MAE floor at depth inf"] == pytest.approx((0 + 2 * 4 + 1 * 6) / 11)
    for metric, unit in (("rmse", "RMSE"), ("r2", "R2")):
        (found,) = node_floors.facts(of_nodes(x, [], y, folds, metric))
        assert (found.fact, found.unit) == ("ridge on features", unit)


def test_several_tasks_and_several_graphs() -> None:
    """In the form of PPI: no fact of classes, and what is left out is told."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, (12, 3)).astype(np.float32)
    y[2] = np.nan
    edges = [(0, 1), (1, 0), (4, 5), (5, 4), (8, 9)]
    x = random.integers(0, 2, (12, 2)).astype(np.float32)
    folds = [((0, 1, 3, 4, 5, 6, 7), (8, 9, 10, 11))]
    data = of_nodes(x, edges, y, folds, "f1-micro", sizes=(4, 4, 4))
    facts = [
        fact for kind in (twins, leaks, node_ceilings, node_floors) for fact in kind.facts(data)
    ]
    named = {fact.fact for fact in facts}
    assert "unreachable test nodes" in named
    assert next(f.value for f in facts if f.fact == "unreachable test nodes") == 4
    assert not any(
        word in name for name in named for word in ("copy", "table lookup", "test ceiling")
    )
    assert "test ceilings" in data.skipped
    scored = of_nodes(x, edges, y, folds, "rocauc", sizes=(4, 4, 4))
    named = {fact.fact for kind in (node_ceilings, node_floors) for fact in kind.facts(scored)}
    assert {"test ROC-AUC ceiling at depth 1", "logistic regression on features, ROC-AUC"} <= named


def test_unlabelled_nodes_are_never_trained_on() -> None:
    x = np.ones((5, 1), dtype=np.float32)
    data = of_nodes(x, [(0, 1), (1, 0)], [0, 1, -1, 1, 1], [((0, 2, 3), (1, 4))])
    facts = told(node_floors, data)
    assert facts["logistic regression on features"] == 0
    assert told(node_ceilings, data)["test ceiling at depth 0"] == 100
    whole = {f.fact: f.value for f in node_ceilings.facts(data) if f.fold is None}
    assert whole["ceiling at depth 0"] == 75  # of the four that have a label


def test_features_of_every_kind() -> None:
    words = np.zeros((8, 40), dtype=np.float32)
    words[np.arange(8), np.arange(8)] = 2
    matrix = features_of(of_nodes(words, [], [0] * 8, []).store)
    assert matrix.nnz == 8  # sparse
    assert np.array_equal(matrix.toarray(), words)
    dense = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    assert np.array_equal(features_of(of_nodes(dense, [], [0] * 8, []).store), dense)
    codes = np.array([[3, 0], [5, 1], [3, 1]])
    numbers = np.array([[0.5], [0.25], [0]], dtype=np.float32)
    data = of_nodes(codes, [], [0, 1, 1], [], x_numbers=numbers)
    assert features_of(data.store).toarray().tolist() == [
        [1, 0, 1, 0, 0.5],
        [0, 1, 0, 1, 0.25],
        [1, 0, 0, 1, 0],
    ]


def test_a_fit_that_takes_too_long_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gbench.audits.node_fits.MOST_SECONDS", 0.0)
    monkeypatch.setattr("gbench.audits.node_floors.MOST_SECONDS", 0.0)
    data = star()
    facts = {**told(leaks, data), **told(node_floors, data)}
    assert not any("logistic" in name or "propagation" in name for name in facts)
    assert {"logistic regression on features", "label propagation"} <= set(data.skipped)
    assert "table lookup by neighbours" in facts
