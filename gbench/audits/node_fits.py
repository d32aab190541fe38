"""What node facts fit to the training nodes of a fold: a linear model of features, a propagation.

Both are stated and have no settings to choose, so that their scores need no validation.

Legend: N nodes, F features, T nodes of a part, C classes, K tasks or numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gbench.audits.item_labels import classes_of, num_classes_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from gbench.audits.audited import Audited
    from gbench.audits.structure import Structure
    from gbench.data.store import GraphStore

SPARSE_BELOW = (
    0.1  # the share of features that are not 0, below which lbfgs is faster on sparse rows
)
ROWS_AT_ONCE = 1 << 24  # values that are looked at together
MOST_SECONDS = 30.0  # that all folds of a fit may take, as `..._seconds` estimate
LINEAR = "logistic regression on features"

ROUNDS = 50  # of label propagation


def features_of(store: GraphStore) -> Any:
    """Features as stored, (N, F) float64: of categories one column for each that occurs.

    Sparse where few of them are other than 0, as words are.
    """
    from scipy.sparse import csr_array, hstack

    x: np.ndarray = store.x.numpy()
    parts: list[Any] = []
    if x.dtype.kind == "f":
        filled = sum(int(np.count_nonzero(part)) for part in _parts(x))
        parts.append(_sparse(x) if filled < SPARSE_BELOW * x.size else x.astype(np.float64))
    else:
        for column in x.T:
            found, places = np.unique(column, return_inverse=True)
            rows = np.arange(len(x) + 1)
            ones = np.ones(len(x))
            parts.append(csr_array((ones, places.reshape(-1), rows), shape=(len(x), len(found))))
    if store.x_numbers is not None:
        parts.append(store.x_numbers.numpy().astype(np.float64))
    if len(parts) == 1:
        return parts[0]
    return csr_array(hstack([csr_array(part) for part in parts], format="csr"))


def linear_scores(data: Audited) -> Sequence[np.ndarray] | None:
    """What a linear model of features that saw a fold's training nodes says of its test nodes.

    scikit-learn's LogisticRegression(C=1) with lbfgs, of each task one; Ridge(alpha=1) of numbers.
    Computed once. Shapes: → of each fold (T, C) probabilities, (T, K) of each task to be 1, or
    (T, K) numbers. None, with the reason in `data.skipped`, where it would take too long.
    """
    if LINEAR not in data.memo:
        data.memo[LINEAR] = _linear_scores(data)
    scores: Sequence[np.ndarray] | None = data.memo[LINEAR]
    return scores


def _linear_scores(data: Audited) -> Sequence[np.ndarray] | None:
    from gbench.audits.learners import linear

    features = features_of(data.store)
    outputs = data.dataset.spec.num_outputs
    seconds = sum(linear_seconds(features, len(split.train), outputs) for split in data.splits)
    if seconds > MOST_SECONDS:
        data.skipped[LINEAR] = f"it would take about {seconds / 60:.0f} minutes"
        return None
    found = []
    for split in data.splits:
        train = split.train[data.labelled[split.train]]
        fitted = linear(features[train], data.y[train], data.card.labels, outputs, c=1.0)
        found.append(fitted(features[split.test]))
    return found


def chosen(data: Audited, scores: np.ndarray) -> np.ndarray:
    """The class of the largest probability, or of one task above a half. Shapes: (T, C) → (T,)."""
    if data.card.labels == "classes":
        best: np.ndarray = scores.argmax(axis=1)
        return best
    above: np.ndarray = scores[:, 0] > 0.5
    return above.astype(np.int64)


def linear_seconds(features: Any, num_train: int, num_outputs: int) -> float:
    """About how long a fit takes: 100 passes over the training rows, measured on one core."""
    num_rows, width = features.shape
    if isinstance(features, np.ndarray):
        return float(200 * num_train * (width + 20) * num_outputs / 5e9)
    entries = features.nnz / max(num_rows, 1)
    return float(200 * num_train * (entries + 20) * num_outputs / 5e8)


def adjacency(graph: Structure) -> csr_array:
    """1 for each pair of neighbours, undirected, loops dropped. Shapes: → (N, N) bool."""
    from scipy.sparse import csr_array

    ones = np.ones(len(graph.indices), dtype=bool)
    return csr_array((ones, graph.indices, graph.indptr), shape=(graph.num_nodes,) * 2)


def within(joined: csr_array, start: np.ndarray, hops: int) -> list[np.ndarray]:
    """Which nodes are at most 1, 2, ... hops from some node of `start`.

    Shapes: joined (N, N) bool, start (N,) bool → `hops` times (N,) bool.
    """
    reached, found = start, []
    for _ in range(hops):
        reached = reached | (joined @ reached)
        found.append(reached)
    return found


def labelled_neighbours(joined: csr_array, y: np.ndarray, num_classes: int) -> np.ndarray:
    """How many neighbours of each class every node has. Shapes: y (N,), -1 for none → (N, C)."""
    counts = joined.astype(np.float32) @ _one_hot(y, num_classes, np.float32)
    return np.asarray(counts)


def propagated(joined: csr_array, y: np.ndarray, num_classes: int) -> np.ndarray:
    """Label propagation of Zhou et al. (NIPS 2003): F ← 0.9 D^-1/2 A D^-1/2 F + 0.1 Y, 50 rounds.

    Shapes: joined (N, N) bool, y (N,) the classes of training nodes, -1 elsewhere → (N, C), rows
    of 0 for nodes that nothing reaches.
    """
    from scipy.sparse import csr_array, diags_array

    degree = np.diff(joined.indptr)
    scale = diags_array(np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0.0))
    spread = csr_array(scale @ joined.astype(np.float64) @ scale)
    known = _one_hot(y, num_classes, np.float64)
    scores = known
    for _ in range(ROUNDS):
        # these factors in this order: nodes that two classes reach alike are told apart by rounding
        scores = 0.9 * (spread @ scores) + 0.1 * known
    return np.asarray(scores)


def propagation_seconds(num_entries: int, num_classes: int) -> float:
    """About how long one takes, measured on one core."""
    return ROUNDS * num_entries * (num_classes + 4) / 1e9


def shown_to(data: Audited, fold: int) -> tuple[np.ndarray, int]:
    """The classes of a fold's training nodes, -1 elsewhere, and the most frequent of them.

    Of equally frequent ones the smallest; only where labels are classes. Shapes: → (N,) int64.
    """
    y = classes_of(data)
    assert y is not None
    train = data.splits[fold].train
    shown = np.full(len(y), -1, dtype=np.int64)
    shown[train] = y[train]
    usual = np.bincount(shown[shown >= 0], minlength=num_classes_of(y)).argmax()
    return shown, int(usual)


def _one_hot(y: np.ndarray, num_classes: int, kind: type) -> np.ndarray:
    found: np.ndarray = np.zeros((len(y), num_classes), dtype=kind)
    rows = np.flatnonzero(y >= 0)
    found[rows, y[rows]] = 1
    return found


def _parts(x: np.ndarray) -> list[np.ndarray]:
    step = max(1, ROWS_AT_ONCE // max(x.shape[1], 1))
    return [x[start : start + step] for start in range(0, len(x), step)]


def _sparse(x: np.ndarray) -> csr_array:
    from scipy.sparse import csr_array, vstack

    return csr_array(vstack([csr_array(part).astype(np.float64) for part in _parts(x)]))
