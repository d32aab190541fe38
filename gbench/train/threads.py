"""How many threads a training on the CPU is given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

import torch

from gbench.parallel import num_cores
from gbench.train.sources import Drawn
from gbench.train.task import Task

FEEDS = 1 << 26  # products of a step, below which it is over before a second thread has helped


@contextmanager
def as_fed(task: Task) -> Iterator[None]:
    """One thread for what is computed inside, where a training step is too short to feed several.

    A second one then gains nothing, and on a busy machine the first waits for it at every barrier.
    It is the model and the data alone that decide, so that a run has the same bits whatever else
    runs. Where somebody has said how many, by OMP_NUM_THREADS or torch.set_num_threads, as a sweep
    does, it stays so.
    """
    before = torch.get_num_threads()
    is_chosen = bool(os.environ.get("OMP_NUM_THREADS")) or before != num_cores()
    if not is_chosen and products(task) < FEEDS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def products(task: Task) -> float:
    """About how many numbers a forward pass multiplies: parameters times nodes of a batch.

    Infinite where batches are parts of one graph, which are as large as their neighbourhoods.
    """
    source, store = task.source, task.dataset.store
    if source.is_one_batch:
        share = 1.0
    elif isinstance(source, Drawn):
        share = min(1.0, source.batch_size / max(store.num_graphs, 1))
    else:
        return inf
    parameters = sum(each.numel() for each in task.model.parameters())
    return share * store.num_nodes * parameters
