"""What a floor is shown: the dataset with the labels of its training items alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gbench.audits.equal_rows import edge_codes, feature_codes
from gbench.audits.node_fits import features_of
from gbench.audits.structure import Structure, structure_of
from gbench.data.dataset import Dataset
from gbench.metrics import Labels
from gbench.train.fitting import shown_alone

Array = np.ndarray[Any, Any]


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
        return feature_codes(self.dataset.store)

    @cached_property
    def structure(self) -> Structure:
        """Who is joined to whom, in all graphs, with labels of edges by all that they carry."""
        store = self.dataset.store
        return structure_of(store, edge_codes(store))

    @cached_property
    def features(self) -> Any:
        """Features of all nodes, (N, F) float64: see `features_of`."""
        return features_of(self.dataset.store)
