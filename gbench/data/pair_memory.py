"""How many pairs of nodes a training batch has, told before training."""

from __future__ import annotations

from dataclasses import replace

from gbench.data.dataset import Dataset
from gbench.data.memory import free_bytes
from gbench.errors import UserError


def with_pairs_told(dataset: Dataset, batch_size: int) -> Dataset:
    """The dataset whose notes tell how many pairs of nodes its training batches have.

    Nothing changes without an encoding of pairs, or with a single graph (see pair_bounds.py).
    Raises UserError where the values of an average batch's pairs, or of the largest graph's, do not
    fit in memory.
    """
    width = dataset.spec.pair_dim
    if not width or dataset.spec.level != "graph":
        return dataset
    sizes = dataset.store.ranges[2, dataset.split.train.cpu()].long().square()
    count = min(batch_size, sizes.numel())
    usual, largest = int(sizes.double().mean() * count), int(sizes.max())
    told = (
        f"pairs of nodes: a batch of {count} graphs has about {usual:,}, the largest graph "
        f"{largest:,}; each number that a model keeps of all pairs of a batch takes "
        f"{4 * usual / 1e3:,.0f} kB"
    )
    free = free_bytes()
    if free and 4 * width * max(usual, largest) > free:
        raise UserError(
            f"{told}, and {free / 1e6:,.0f} MB do not hold their {width} values: take a smaller "
            "optim.batch_size, an encoding of fewer values, or a dataset of smaller graphs"
        )
    return replace(dataset, notes=(*dataset.notes, told))
