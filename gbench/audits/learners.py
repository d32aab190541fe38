"""What scikit-learn fits to rows of numbers, with the training rows' labels, whatever these are.

Each function returns what turns other rows into answers: see gbench/floors/floor.py. Rows whose
label is missing are left out, task by task; a task with one label alone is answered by its rate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gbench.metrics import Labels

Array = np.ndarray[Any, Any]
Rows = Any  # (T, F) float64, dense or a sparse matrix of SciPy's
Fitted = Callable[[Rows], Array]

MOST_STEPS = 1000  # of a solver; scikit-learn's 100 of lbfgs end before it has converged on words


def linear(
    rows: Rows, y: Array, labels: Labels, num_outputs: int, c: float, solver: str = "lbfgs"
) -> Fitted:
    """Logistic regression with an L2 penalty of inverse strength `c`; ridge regression of numbers.

    As scikit-learn has them: LogisticRegression(C=c), Ridge(alpha=1/c). Shapes: y (T,) or (T, K).
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    if labels == "numbers":
        return by_column(lambda: Ridge(alpha=1 / c), rows, y)
    settings: dict[str, Any] = {"C": c, "solver": solver, "max_iter": MOST_STEPS}
    return _classified(lambda: LogisticRegression(**settings), rows, y, num_outputs)


def forest(
    rows: Rows, y: Array, labels: Labels, num_outputs: int, trees: int, seed: int, jobs: int = 1
) -> Fitted:
    """A random forest (Breiman, 2001), as scikit-learn has it, of so many trees.

    One forest for all tasks or numbers where no label is missing, else one for each.

    Shapes: y (T,) or (T, K).
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    settings: dict[str, Any] = {"n_estimators": trees, "random_state": seed, "n_jobs": jobs}
    if labels == "numbers":
        if not np.isnan(y).any():
            found = RandomForestRegressor(**settings).fit(
                rows, y.squeeze(1) if y.shape[1] == 1 else y
            )
            return lambda asked: found.predict(asked).reshape(asked.shape[0], -1)
        return by_column(lambda: RandomForestRegressor(**settings), rows, y)
    if y.ndim == 2 and y.shape[1] > 1 and not np.isnan(y).any():
        return _of_all_tasks(RandomForestClassifier(**settings).fit(rows, y))
    return _classified(lambda: RandomForestClassifier(**settings), rows, y, num_outputs)


def _of_all_tasks(found: Any) -> Fitted:
    """The probability of 1 in each task, of one forest whose leaves know all of them."""

    def answers(asked: Rows) -> Array:
        said = zip(found.predict_proba(asked), found.classes_, strict=True)
        return np.stack([shares @ (labels == 1) for shares, labels in said], axis=1)

    return answers


def _classified(make: Callable[[], Any], rows: Rows, y: Array, num_outputs: int) -> Fitted:
    """Classes by one learner, tasks by one for each."""
    if y.ndim == 1:
        return _probabilities(make, rows, y, num_outputs)
    found = []
    for column in y.T:
        known = ~np.isnan(column)
        found.append(_probabilities(make, rows[known], column[known].astype(np.int64), 2))
    return lambda asked: np.stack([each(asked)[:, 1] for each in found], axis=1)


def _probabilities(make: Callable[[], Any], rows: Rows, y: Array, num_classes: int) -> Fitted:
    """Of each class; of those that no row has 0. Shapes: y (T,)."""
    occurring = np.unique(y)
    if len(occurring) < 2:
        share = np.bincount(y, minlength=num_classes) / max(1, len(y))
        return lambda asked: np.tile(share, (asked.shape[0], 1))
    learner = make().fit(rows, y)

    def answers(asked: Rows) -> Array:
        said = np.zeros((asked.shape[0], num_classes))
        said[:, learner.classes_] = learner.predict_proba(asked)
        return said

    return answers


def by_column(make: Callable[[], Any], rows: Rows, y: Array) -> Fitted:
    """Numbers, each column by a learner of its own; 0 of one without any. Shapes: y (T, K)."""
    found = []
    for column in y.T:
        known = ~np.isnan(column)
        found.append(make().fit(rows[known], column[known]) if known.any() else None)
    return lambda asked: np.stack(
        [np.zeros(asked.shape[0]) if each is None else each.predict(asked) for each in found],
        axis=1,
    )
