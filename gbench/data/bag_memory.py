"""What bags cost: told before training, refused where they cannot fit, and budgeted in evaluation.

Legend: G graphs of a dataset.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from gbench.data.bag import Bagging
from gbench.data.bagging import most
from gbench.data.dataset import Dataset
from gbench.data.memory import free_bytes
from gbench.errors import UserError
from gbench.figures import memory_text

ROWS_AT_ONCE = 1 << 19  # nodes and entries of an evaluation batch, but for a graph that has more
NODE_BYTES, ENTRY_BYTES = 64, 64  # of indices, some of them for a while


def bagged(dataset: Dataset, bagging: Bagging, batch_size: int) -> Dataset:
    """The dataset whose batches carry `bag`, and whose notes tell how large these are.

    Raises UserError for a dataset that is one graph, and where a batch of average graphs or the
    largest graph's bag does not fit in memory or in 32-bit indices.
    """
    if dataset.spec.level != "graph":
        raise UserError(
            f"a bag holds copies of each of many graphs, and {dataset.card.name} is one graph: "
            "gbench list data, gbench data info NAME tell which are graph-level"
        )
    sizes = most(dataset.store.ranges, bagging.policy)
    copies, nodes, entries = sizes.sum(1).tolist()
    costs = _bytes(sizes, bagging)
    usual = int(costs.double().mean() * batch_size)
    largest, free = int(costs.max()), free_bytes()
    told = (
        f"bags ({bagging.policy}): at most {copies:,} copies of {sizes.size(1):,} graphs, with "
        f"{nodes:,} nodes and {entries:,} edge entries; a batch of {batch_size} takes about "
        f"{_text(usual)}, the largest graph alone {_text(largest)}"
    )
    if (free and max(usual, largest) > free) or int(sizes[1:].max()) >= 2**31:
        raise UserError(
            f"{told}, and {_text(free)} are free. Take a smaller optim.batch_size or "
            "model.hidden_dim, or a dataset of smaller graphs"
        )
    return replace(dataset, bagging=bagging, notes=(*dataset.notes, told))


def rows_of(ranges: Tensor, bagging: Bagging) -> Tensor:
    """The nodes and entries of each graph's bag at most: int64 (G,)."""
    return most(ranges, bagging.policy)[1:].sum(0)


def _bytes(sizes: Tensor, bagging: Bagging) -> Tensor:
    """What a training step keeps for each graph. Shapes: sizes (3, G) → (G,)."""
    return sizes[1] * (NODE_BYTES + 4 * bagging.floats) + sizes[2] * ENTRY_BYTES


def _text(num_bytes: float) -> str:
    return memory_text(num_bytes / 2**20)
