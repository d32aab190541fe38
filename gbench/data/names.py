"""What the user's own files call the things of a dataset: classes, items, graphs and columns.

They are kept beside the prepared tensors and have no part in the fingerprint: two runs saw the same
data whatever the nodes are called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gbench.data.source import Source

BETWEEN = "\0"  # words: no text file that gbench reads has it


@dataclass(frozen=True, eq=False)
class Names:
    """Names of one dataset; what has none goes by its position.

    Shapes: labelled (N,) or (G,) bool, what has a label, None: everything.
    """

    classes: tuple[str, ...] = ()  # or tasks, or targets, in the order of their numbers
    ids: Tensor | None = None  # of nodes or graphs, as the labels' rows: see `packed`
    graph_ids: Tensor | None = None  # of the graphs, where their nodes have labels
    labelled: Tensor | None = None
    # how the columns of a folder's files were read: see gbench/data/loaders/folder.py
    columns: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(source: Source) -> Names:
        """The names that a loader gives."""
        ids, graph_ids = packed(source.ids), packed(source.graph_ids)
        return Names(
            tuple(map(str, source.classes)), ids, graph_ids, source.labelled, dict(source.columns)
        )


def packed(words: Sequence[str]) -> Tensor | None:
    """Words as bytes that a file keeps memory-mapped; None where there are none."""
    if not len(words):
        return None
    text = BETWEEN.join(map(str, words)).encode()
    return torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else None


def unpacked(words: Tensor | None) -> list[str]:
    """The words again."""
    return [] if words is None else bytes(words.numpy()).decode().split(BETWEEN)
