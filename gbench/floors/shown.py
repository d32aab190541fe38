"""What a floor is shown: the dataset with the labels of its training items alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack

from gbench.audits.equal_rows import codes_of_rows
from gbench.audits.structure import Structure, structure_of
from gbench.data.dataset import Dataset
from gbench.metrics import Labels
from gbench.train.fitting import shown_alone

Array = np.ndarray[Any, Any]
SPARSE_BELOW = 0.2  # the share of features other than 0 below which their matrix is sparse


@dataclass(frozen=True, eq=False)
class Shown:
    """A dataset as a floor sees it.

    Labels of validation and test items are not there: `dataset.store.y` has -100 or NaN in their
    place, its split has training items alone, and of links it has the training links alone.
    """

    dataset: Dataset
    seed: int

    @staticmethod
    def of(dataset: Dataset, seed: int) -> Shown:
        """What is shown of a dataset."""
        return Shown(shown_alone(dataset), seed)

    @property
    def labels(self) -> Labels:
        """What labels are: classes, tasks, numbers or links."""
        return "links" if self.dataset.card.level == "link" else self.dataset.card.labels

    @cached_property
    def train(self) -> Array:
        """The training items that have a label. Shapes: → (T,) int64."""
        ids: Array = self.dataset.split.train.numpy()
        y = self.y[ids]
        known = y >= 0 if y.ndim == 1 else ~np.isnan(y).all(1)
        return ids[known]

    @cached_property
    def y(self) -> Array:
        """Labels of training items: (N,) int64 with -100, or (N, K) float64 with NaN elsewhere."""
        y = self.dataset.store.y
        return (y.double() if y.is_floating_point() else y).numpy()

    @cached_property
    def usual(self) -> Array:
        """What is said where nothing is known: shares of the classes, rates of tasks, medians.

        All of them are of the training items. Shapes: → (C,) or (K,).
        """
        y = self.y[self.train]
        if self.labels == "classes":
            counts = np.bincount(y, minlength=self.dataset.spec.num_outputs)
            shares: Array = counts / max(1, counts.sum())
            return shares
        with np.errstate(invalid="ignore"):
            middle = np.nanmedian if self.labels == "numbers" else np.nanmean
            known: Array = np.nan_to_num(middle(y, axis=0))
        return known

    @cached_property
    def feature_codes(self) -> Array:
        """Numbers of equal rows of features, numbers and categories together. Shapes: → (N,)."""
        given = (self.dataset.store.x, self.dataset.store.x_numbers)
        return codes_of_rows(*(values.numpy() for values in given if values is not None))

    @cached_property
    def edge_codes(self) -> Array | None:
        """Numbers of equal values of edges, of each entry of `store.col`; None without any.

        Shapes: → (E,).
        """
        store = self.dataset.store
        given = (store.edge_code, store.edge_weight, store.edge_attr)
        known = [v.numpy().reshape(len(v), -1) for v in given if v is not None]
        return codes_of_rows(*known) if known else None

    @cached_property
    def structure(self) -> Structure:
        """Who is joined to whom, in all graphs."""
        return structure_of(self.dataset.store, self.edge_codes)

    @cached_property
    def features(self) -> Any:
        """Features of all nodes, (N, F) float64: of categories one column for each that occurs.

        Sparse where few are other than 0.
        """
        store = self.dataset.store
        parts = []
        x = store.x.numpy()
        if store.x.is_floating_point():
            parts.append(x.astype(np.float64))
        else:
            parts += [_columns(x[:, column]) for column in range(x.shape[1])]
        if store.x_numbers is not None:
            parts.append(store.x_numbers.numpy().astype(np.float64))
        matrix = hstack([csr_matrix(part) for part in parts], format="csr")
        is_sparse = matrix.nnz < SPARSE_BELOW * matrix.shape[0] * max(1, matrix.shape[1])
        return matrix if is_sparse else matrix.toarray()


def _columns(codes: Array) -> csr_matrix:
    """A column for each category that occurs. Shapes: (N,) → (N, U)."""
    found, places = np.unique(codes, return_inverse=True)
    rows = np.arange(len(codes))
    return csr_matrix((np.ones(len(codes)), (rows, places)), shape=(len(codes), len(found)))
