"""Patches for every batch, made ahead of the training that uses them.

METIS runs in processes of its own, a thread of this one grows its parts to patches (numba lets go
of the GIL), and the training loop finds them ready. How many processes there are changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.data.files.derived import Key, derived
from gbench.data.patches import metis
from gbench.data.patches.patch_set import Patches, Patching
from gbench.data.transfer import Packed
from gbench.errors import UserError
from gbench.fresh_processes import FreshProcesses
from gbench.parallel import gathered, in_order, num_cores
from gbench.seeds import nth_seed

GRAPHS_AT_ONCE = 256  # in one piece of work when a whole dataset is cut
AHEAD = 8  # batches per process that may be under way: they delay the end of an interrupted run


def patched(dataset: Dataset, patching: Patching, cache_dir: Path) -> Dataset:
    """The dataset whose batches carry `patches`.

    Raises UserError for a dataset that is one graph, and where pymetis is needed but missing.
    """
    if dataset.spec.level != "graph":
        raise UserError(
            f"patches are cut from each of many graphs, and {dataset.card.name} is one graph: "
            "gbench list data, gbench data info NAME tell which are graph-level"
        )
    return replace(dataset, patcher=Patcher(dataset, patching, cache_dir))


class Patcher:
    """Cuts the graphs of one dataset; its arrays stay on the CPU, wherever the batches are."""

    def __init__(self, dataset: Dataset, patching: Patching, cache_dir: Path) -> None:
        union, node_ptr = dataset.store.union()
        arrays = (node_ptr.long(), union.rowptr.long(), dataset.store.col)
        self.graphs = metis.Graphs(*(array.cpu().numpy() for array in arrays))
        self.patching = patching
        self.processes = max(1, min(8, num_cores() - 1))  # one core trains
        options = {"num_parts": patching.num_patches, "partition": patching.partition}
        key = Key(
            dataset.card.name,
            dataset.fingerprint,
            "parts",
            "gbench.data.patches.metis.assign",
            options,
        )
        self.static = derived(key, lambda _: self._cut_all(), cache_dir)["part"].numpy()

    @cached_property
    def pool(self) -> ProcessPoolExecutor:
        """Processes that hold the graphs and import little: neither torch nor numba."""
        if self.patching.partition != "random":
            metis.load_pymetis()  # if it is missing, the error is raised here
        return ProcessPoolExecutor(
            self.processes,
            FreshProcesses(),  # fork would copy locks that threads hold
            metis.start_process,
            (self.graphs,),
        )

    def drawing(self, edge_dropout: float, seed: int) -> Callable[[np.ndarray], np.ndarray]:
        """What a process of the pool does with graph ids: draw the parts of these graphs."""
        return partial(
            metis.assign_here,
            num_parts=self.patching.num_patches,
            partition=self.patching.partition,
            edge_dropout=edge_dropout,
            seed=seed,
        )

    def training(
        self, chunks_of: Callable[[int], Sequence[Tensor]], *, seed: int, max_epochs: int
    ) -> TrainingPatches:
        """The patches of the chunks of each epoch, drawn anew."""
        return TrainingPatches(self, chunks_of, seed=seed, max_epochs=max_epochs)

    def evaluation(self, chunks: Iterable[Tensor]) -> Iterator[Packed[Patches]]:
        """The patches of each chunk of graph ids, nothing dropped: the same in every run."""
        with ThreadPoolExecutor(1) as thread:
            yield from in_order(
                lambda ids: thread.submit(lambda: ready(self.static_patches(ids))), chunks, depth=2
            )

    def static_patches(self, ids: Tensor) -> Patches:
        """The patches of the graphs `ids`, nothing dropped."""
        starts, ends = self.graphs.node_ptr[ids.numpy()], self.graphs.node_ptr[ids.numpy() + 1]
        parts = [self.static[start:end] for start, end in zip(starts, ends, strict=True)]
        return self.patches(ids, np.concatenate(parts))

    def patches(self, ids: Tensor, part: np.ndarray) -> Patches:
        """The parts of the graphs `ids` as patches."""
        return cut(self.graphs, ids.numpy(), part, self.patching)

    def _cut_all(self) -> dict[str, Tensor]:
        everything = np.arange(self.graphs.node_ptr.size - 1)
        pieces = np.split(everything, range(GRAPHS_AT_ONCE, everything.size, GRAPHS_AT_ONCE))
        with _processes_explained():
            parts = gathered(self.pool, self.drawing(0.0, metis.STATIC), pieces, "METIS")
        return {"part": torch.from_numpy(np.concatenate(parts))}


class TrainingPatches:
    """The patches of an epoch's batches, the edges of each graph dropped anew before every cut.

    What is drawn depends on the seed, the epoch and the graph alone. The next batches are under
    way beyond the end of an epoch, so that validation is used as well.
    """

    def __init__(
        self,
        patcher: Patcher,
        chunks_of: Callable[[int], Sequence[Tensor]],
        *,
        seed: int,
        max_epochs: int,
    ) -> None:
        self.patcher = patcher
        self.chunks_of = chunks_of  # the graph ids of each batch of an epoch
        self.seed, self.max_epochs = seed, max_epochs
        self.thread = ThreadPoolExecutor(1, "patches")
        self.next_epoch = -1
        self.stream: Iterator[Packed[Patches]] = iter(())

    def epoch(self, epoch: int) -> Iterator[Packed[Patches]]:
        """One for each batch of the epoch."""
        if epoch != self.next_epoch:
            depth = AHEAD * self.patcher.processes
            self.stream = in_order(self._submit, self._batches(epoch), depth)
        self.next_epoch = epoch + 1
        with _processes_explained():
            yield from islice(self.stream, len(self.chunks_of(epoch)))

    def _batches(self, first_epoch: int) -> Iterator[tuple[int, Tensor]]:
        for epoch in range(first_epoch, self.max_epochs):
            for ids in self.chunks_of(epoch):
                yield nth_seed(self.seed, epoch), ids

    def _submit(self, batch: tuple[int, Tensor]) -> Future[Packed[Patches]]:
        seed, ids = batch
        edge_dropout = self.patcher.patching.edge_dropout
        if not edge_dropout:
            return self.thread.submit(lambda: ready(self.patcher.static_patches(ids)))
        part = self.patcher.pool.submit(self.patcher.drawing(edge_dropout, seed), ids.numpy())
        return self.thread.submit(lambda: ready(self.patcher.patches(ids, part.result())))


def cut(graphs: metis.Graphs, ids: np.ndarray, part: np.ndarray, patching: Patching) -> Patches:
    """The parts of the graphs `ids` as patches, with the walks that `patching` asks for."""
    from gbench.data.patches.grow import grown

    patches = grown(graphs, ids, part, patching.num_patches, patching.hops)
    steps = patching.walk_steps
    return replace(patches, walks=patches.random_walk(steps)) if steps else patches


def ready(patches: Patches) -> Packed[Patches]:
    """The patches as a GPU copies them, if there is one."""
    return Packed(patches, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def with_patches(batches: Iterable[Batch], patches: Iterable[Packed[Patches]]) -> Iterator[Batch]:
    """Each batch with its patches, on its device."""
    for batch, own in zip(batches, patches, strict=True):
        yield replace(batch, patches=own.to(batch.x.device))


@contextmanager
def _processes_explained() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise UserError(
            "a process that cuts patches was killed, most likely because memory ran out: "
            "free some, or take a smaller optim.batch_size"
        ) from error
