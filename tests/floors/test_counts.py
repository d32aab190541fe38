"""model=counts: columns by a loop, and forests of all tasks as scikit-learn answers them."""

from __future__ import annotations

from collections import Counter

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from gbench.audits.learners import forest
from gbench.contracts import tiny
from gbench.floors.counts import _Columns
from gbench.floors.shown import Shown
from tests.floors.test_contract import card


def test_columns_are_what_a_loop_counts() -> None:
    shown = Shown.of(tiny.graphs(card("graph"), are_molecules=True), 0)
    s, least = shown.structure, 2
    rows = _Columns(shown, least).up_to(0)
    codes = [shown.feature_codes[s.node_ptr[g] : s.node_ptr[g + 1]] for g in range(s.num_graphs)]
    pairs = {  # of each graph its edges with their labels
        g: {
            (min(u, v), max(u, v)): s.edge_label[at]
            for u in range(s.node_ptr[g], s.node_ptr[g + 1])
            for at in range(s.indptr[u], s.indptr[u + 1])
            for v in [int(s.indices[at])]
        }
        for g in range(s.num_graphs)
    }
    counts = [Counter(pairs[g].values()) for g in pairs], [Counter(each.tolist()) for each in codes]
    expected = [[len(each) for each in codes], [len(pairs[g]) for g in pairs]]
    for of in counts:
        known = sorted({code for each in of for code in each})
        frequent = [c for c in known if sum(of[g][c] > 0 for g in shown.train) >= least]
        expected += [[each[code] for each in of] for code in frequent]
    np.testing.assert_array_equal(rows, np.array(expected, dtype=np.float32).T)
    deeper = _Columns(shown, 1).up_to(2)
    assert deeper.shape[1] > _Columns(shown, 1).up_to(0).shape[1] > rows.shape[1]


def test_one_forest_answers_all_tasks_also_one_that_is_always_so() -> None:
    random = np.random.RandomState(0)
    rows, y = random.rand(40, 3), random.randint(0, 2, (40, 3)).astype(float)
    y[:, 1] = 1
    said = forest(rows, y, "tasks", 3, 5, seed=1)(rows)
    known = RandomForestClassifier(5, random_state=1).fit(rows, y).predict_proba(rows)
    np.testing.assert_array_equal(said[:, 0], known[0][:, 1])
    assert (said[:, 1] == 1).all()
    y[3, 2] = np.nan  # then each task has a forest of its own
    assert forest(rows, y, "tasks", 3, 5, seed=1)(rows).shape == (40, 3)
