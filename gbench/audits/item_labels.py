"""The labels of nodes or graphs as audits count them: a class's number, or -1 where there is none.

Legend: N nodes or graphs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gbench.audits.equal_rows import codes_of_rows

if TYPE_CHECKING:
    from gbench.audits.audited import Audited


def classes_of(data: Audited) -> np.ndarray | None:
    """Each item's class, those of one task of two being 0 and 1. Shapes: → (N,) int64, or None.

    None where labels are several tasks or numbers.
    """
    if data.card.labels == "classes":
        return np.where(data.labelled, data.y, -1)
    if data.card.labels == "tasks" and data.y.shape[1] == 1:
        return as_class(data.y[:, 0])
    return None


def as_class(task: np.ndarray) -> np.ndarray:
    """Two classes of one task's labels 0, 1 and NaN. Shapes: (N,) float → (N,) int64."""
    return np.where(np.isnan(task), -1, task > 0).astype(np.int64)


def tasks_of(data: Audited) -> np.ndarray:
    """Labels as columns: tasks of 0 and 1, one for each class, or numbers; NaN where there is none.

    Shapes: → (N, T) float64, of two classes (N, 1) of the second.
    """
    if data.y.ndim == 2:
        return data.y
    found = np.full((len(data.y), num_classes_of(data.y)), np.nan)
    found[data.labelled] = data.y[data.labelled, None] == np.arange(found.shape[1])
    return found if found.shape[1] > 2 else found[:, -1:]


def codes_of(data: Audited) -> np.ndarray:
    """Equal numbers for equal labels in all columns, -1 for none. Shapes: → (N,) int64."""
    classes = classes_of(data)
    if classes is not None:
        return classes
    # NaN is unlike itself: missing labels are one more value here
    return np.where(data.labelled, codes_of_rows(np.nan_to_num(data.y, nan=-np.inf)), -1)


def num_classes_of(y: np.ndarray) -> int:
    """One more than the largest class; at least 1."""
    return max(int(y.max(initial=0)) + 1, 1)
