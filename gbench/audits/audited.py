"""What facts are computed from: a dataset as training reads it, and as its files have it.

Legend: N nodes, G graphs, E stored edges, T tasks or targets.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from gbench.audits.colours import refine
from gbench.audits.connected import components
from gbench.audits.equal_rows import edge_codes, feature_codes
from gbench.audits.settling import Lists, settled
from gbench.audits.structure import Array, Structure, structure_of
from gbench.data.dataset import Dataset
from gbench.data.load import load_all_folds, read
from gbench.data.source import Source
from gbench.data.spec import DataCard
from gbench.data.store import GraphStore
from gbench.locate import locate

MOST_FOLDS = 10  # that are audited: those that come first
KEPT_DEPTHS = 4  # of colours: 0 to 3, and the stable ones


class Split(NamedTuple):
    """One fold: ascending numbers of nodes, graphs or pairs, int64."""

    train: Array
    valid: Array
    test: Array


class Colours(NamedTuple):
    """Colours of all nodes by rounds of refinement, each (N,) int64 of dense ranks."""

    first: Sequence[Array]  # of depth 0, 1, 2 and 3, or fewer where they are stable before
    stable: Array
    stable_depth: int

    def at(self, depth: int) -> Array:
        """The colours after so many rounds, at most 3."""
        return self.first[min(depth, len(self.first) - 1)]


@dataclass(frozen=True, eq=False)
class Audited:
    """A dataset with all its folds.

    Shapes: labelled (N,) or (G,) bool, what has a label; y (N,) or (G,) int64 classes, else (·, T)
    float64 with NaN for what is missing; feature_codes (N,) int64, equal where two nodes have equal
    features (as the files have them, numbers and categories together); edge_codes (E,) int64 the
    same of what the entries of `store.col` carry, or None where edges carry nothing.
    """

    card: DataCard
    dataset: Dataset  # as training reads it
    store: GraphStore  # as the files have it: edges of one direction, rows not divided by sums
    splits: Sequence[Split]  # of the first folds, at most MOST_FOLDS
    labelled: Array
    data_dir: Path
    data_source: str = ""  # where missing raw files come from
    assumed: Array | None = None  # (N,) bool: whose label no file has: see `Source.assumed`
    memo: dict[str, Any] = field(default_factory=dict)  # what several kinds of facts share
    skipped: dict[str, str] = field(default_factory=dict)  # what is not computed, and why

    def place(self, fold: int, part: str = "test") -> tuple[str, int]:
        """What facts of a fold say for `split` and `fold`: see `gbench.audits.fact.Fact`."""
        return (part if self.is_by_part else self.card.split), fold

    @property
    def is_by_part(self) -> bool:
        """Whether facts are told of each part: of graphs with one split."""
        return self.card.level == "graph" and self.card.num_folds == 1

    @cached_property
    def y(self) -> Array:
        y: Array = self.store.y.numpy()
        return y.astype(np.float64) if y.dtype.kind == "f" else y

    @cached_property
    def classes(self) -> Array | None:
        """Labels as classes, of one task 0 and 1 (0 where it is missing); None for other labels.

        Shapes: → (N,) or (G,) int64.
        """
        if self.card.level == "link" or self.card.labels == "numbers":
            return None
        if self.card.labels == "classes":
            return self.y
        return (self.y[:, 0] == 1).astype(np.int64) if self.y.shape[1] == 1 else None

    @property
    def num_classes(self) -> int:
        """Of `classes`."""
        return self.dataset.spec.num_outputs if self.card.labels == "classes" else 2

    @cached_property
    def structure(self) -> Structure:
        return structure_of(self.store, self.edge_codes)

    @property
    def is_directed(self) -> bool:
        """Whether some stored edge lacks its reverse."""
        return self.store.out_degree is not None

    @cached_property
    def feature_codes(self) -> Array:
        return feature_codes(self.store)

    @cached_property
    def edge_codes(self) -> Array | None:
        return edge_codes(self.store)

    @cached_property
    def component(self) -> Array:
        """The connected component of each node, undirected. Shapes: → (N,) int64."""
        return components(self.structure.indptr, self.structure.indices)

    @cached_property
    def colours(self) -> Colours:
        """From the features, over undirected edges without labels, loops dropped."""
        lists = self.structure.indptr, self.structure.indices
        return kept_colours(self.feature_codes, lists, lists)

    @cached_property
    def directed_colours(self) -> Colours:
        """From the features, each node receiving along its in-edges, loops kept."""
        s = self.structure
        return kept_colours(
            self.feature_codes, (s.in_ptr, s.in_indices), (s.out_ptr, s.out_indices)
        )

    @cached_property
    def beside(self) -> Mapping[str, Tensor]:
        """What the files hold and training leaves out, of loaders that take the option `beside`."""
        card = self.dataset.card
        if "beside" not in inspect.signature(locate(card._target_)).parameters:
            return {}
        card = replace(card, options={**card.options, "beside": True})
        return read(card, self.data_dir, self.data_source)[0].beside

    @cached_property
    def zeros(self) -> tuple[Array, Array]:
        """Which rows and columns of dense features are all zero. Shapes: → (N,), (F,) bool."""
        x = self.store.x.numpy()
        step = max(1, (1 << 24) // max(x.shape[1], 1))
        rows, columns = np.ones(len(x), dtype=bool), np.ones(x.shape[1], dtype=bool)
        for first, end in pairwise([*range(0, len(x), step), len(x)]):
            has = x[first:end] != 0
            rows[first:end] = ~has.any(axis=1)
            columns &= ~has.any(axis=0)
        return rows, columns

    @cached_property
    def source(self) -> Source:
        """The raw files once more, as the loader reads them."""
        return read(self.card, self.data_dir, self.data_source)[0]


def kept_colours(initial: Array, senders: Lists, receivers: Lists) -> Colours:
    """The colours of `refine` at the depths that facts name: see gbench/audits/settling.py."""
    first = list(islice(refine(initial, *senders), KEPT_DEPTHS))
    stable, more = settled(first[-1], senders, receivers)
    return Colours(first, stable, len(first) - 1 + more)


def audited(card: DataCard, data_dir: Path, cache_dir: Path, source: str = "") -> Audited:
    """Read a dataset with its folds, preparing it first where that is not done yet.

    Raises UserError as `gbench.data.load.load` does.
    """
    dataset, splits = load_all_folds(card, data_dir, cache_dir, source)
    store, assumed, filed = dataset.store, None, as_stored(card)
    if card.normalize_features or filed != card:  # a prepared file has quotients, not the features
        given, store = read(filed, data_dir, source)
        assumed = None if given.assumed is None else given.assumed.numpy()
    y, labelled = store.y.numpy(), dataset.labelled
    known = np.ones(len(y), dtype=bool) if labelled is None else labelled.numpy().copy()
    if y.dtype.kind == "f":
        known &= ~np.isnan(y).reshape(len(y), -1).all(axis=1)
    folds = [Split(*(np.sort(part.numpy()) for part in split)) for split in splits[:MOST_FOLDS]]
    data = Audited(card, dataset, store, folds, known, data_dir, source, assumed)
    if len(splits) > MOST_FOLDS:
        data.skipped[f"folds {MOST_FOLDS} to {len(splits) - 1}"] = (
            f"of {len(splits)} folds the first {MOST_FOLDS} are audited"
        )
    return data


def as_stored(card: DataCard) -> DataCard:
    """The card under which a loader that changes edges or features leaves them as the files do.

    Such a loader has the option `as_stored`, which training does not set: goods that were bought
    together are linked one way in the files of Amazon, and both ways in training.
    """
    if "as_stored" not in inspect.signature(locate(card._target_)).parameters:
        return card
    return replace(card, options={**card.options, "as_stored": True})
