"""A dataset ready to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from gbench.data.bag import Bagging
from gbench.data.names import Names
from gbench.data.patches.patch_set import Patches
from gbench.data.source import Split
from gbench.data.spec import DataCard, DataSpec
from gbench.data.store import GraphStore
from gbench.data.transfer import Packed


class EpochPatches(Protocol):
    """The patches of training batches."""

    def epoch(self, epoch: int) -> Iterator[Packed[Patches]]:
        """One for each batch of the epoch."""


class Patcher(Protocol):
    """What cuts a dataset's graphs into patches: see gbench/data/patches/patching.py."""

    def evaluation(self, chunks: Iterable[Tensor]) -> Iterator[Packed[Patches]]:
        """The patches of each chunk of graph ids, the same in every run."""

    def training(
        self, chunks_of: Callable[[int], Sequence[Tensor]], *, seed: int, max_epochs: int
    ) -> EpochPatches:
        """Those of the chunks of each epoch, drawn anew."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset ready to train on."""

    card: DataCard
    spec: DataSpec
    store: GraphStore
    split: Split  # of card.fold
    fingerprint: str  # sha256 of all packed tensors and of the splits of all folds
    statistics: dict[str, int]  # as loaded
    told: dict[str, str] = field(default_factory=dict)  # of its labels and files, by subject
    notes: tuple[str, ...] = ()  # what a user must know before training
    random_signs: tuple[bool, ...] = ()  # columns of store.pe whose sign is drawn in training
    patcher: Patcher | None = None  # of a model that reads batch.patches
    bagging: Bagging | None = None  # of a model that reads batch.bag
    names: Names = field(default_factory=Names)  # as in the user's files

    @property
    def labelled(self) -> Tensor | None:
        """What has a label, of classes whose y is 0 elsewhere; None: everything. Shapes: (N,)."""
        return self.names.labelled

    def to(self, device: torch.device) -> Dataset:
        """The dataset on a device, whole: batches are cut there, by graph ids from the CPU."""
        split = self.split
        if self.spec.level != "graph":  # ids of nodes and of pairs select rows there
            split = Split(*(part.to(device) for part in split))
        return replace(self, store=self.store.to(device), split=split)
