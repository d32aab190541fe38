"""How many pairs of nodes a dataset may have: n² of each graph of n nodes.

A single graph is bounded by the number of its pairs, because whatever a model computes of them it
holds at once: 64 numbers for each of 50 million are 13 GB. What is computed of all graphs is kept
in a file that is mapped into memory, and made in memory: half of the machine's bounds that.

Legend: G graphs, K values of a pair.
"""

from __future__ import annotations

import os

from torch import Tensor

from gbench.data.memory import machine_bytes
from gbench.errors import UserError

MOST_PAIRS = 50_000_000  # of one graph: 7,071 nodes
VARIABLE = "GBENCH_MOST_PAIRS"  # what may say otherwise


def check_largest(name: str, sizes: Tensor) -> None:
    """Raise UserError where a graph has more pairs than are ever computed. Shapes: sizes (G,)."""
    most = _most_pairs()
    nodes = int(sizes.max()) if sizes.numel() else 0
    if nodes**2 > most:
        raise UserError(
            f"encoding={name}: a graph of {nodes:,} nodes has {nodes**2:,} pairs of nodes, "
            f"{_size(nodes**2)} for each number that is kept of them, and at most {most:,} pairs "
            "of one graph are computed: take an encoding of nodes, as encoding=rwse. On a machine "
            f"with the memory for it, {VARIABLE}={nodes**2} lets them be"
        )


def check_total(name: str, data: str, sizes: Tensor, width: int) -> None:
    """Raise UserError where the values of all graphs take more than half of the memory."""
    pairs = int(sizes.long().square().sum())
    memory = machine_bytes()
    if memory and 4 * pairs * width > memory / 2:
        raise UserError(
            f"encoding={name}: the {pairs:,} pairs of nodes of {data} have {width} values each, "
            f"{_size(pairs * width)}, which is more than half of this machine's memory, "
            f"{memory / 1e9:.1f} GB: take fewer values, as with encoding.steps=, or a machine with "
            "more memory; computed once, they are read from cache_dir anywhere"
        )


def _most_pairs() -> int:
    said = os.environ.get(VARIABLE, "")
    if not said:
        return MOST_PAIRS
    if not said.isdecimal():
        raise UserError(f"{VARIABLE}={said}: expected a whole number, of pairs of nodes")
    return int(said)


def _size(numbers: int) -> str:
    """Of float32."""
    return f"{4 * numbers / 1e9:.1f} GB"
