"""Training nodes and a random sample of what surrounds them.

Hamilton, Ying and Leskovec, "Inductive Representation Learning on Large Graphs" (NeurIPS 2017).
What is drawn around a node depends on the seed, the batch and the node alone: on no order, and so
on no number of threads.

Legend: N nodes of the whole graph, T targets, L layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba import uint64
from torch import Tensor

from gbench.data.big.part import Part, Pattern, with_transpose
from gbench.data.dataset import Dataset
from gbench.errors import UserError
from gbench.kernels.cpu.rows import array, compiled

ALL = -1  # a fan-out that leaves no neighbour out


class Neighbours:
    """`nodes_per_batch` training nodes, and around them `fan_outs[h]` in-neighbours at hop h + 1.

    Neighbours are drawn uniformly without replacement. A node is expanded once, at the hop where it
    is first met. Raises UserError unless there are as many fan-outs as the model looks hops away
    (`reach`).
    """

    def __init__(
        self,
        dataset: Dataset,
        reach: int,
        cache_dir: Path,
        *,
        fan_outs: Sequence[int],
        nodes_per_batch: int,
    ) -> None:
        if not all(type(size) is int and (size > 0 or size == ALL) for size in fan_outs):
            raise UserError(f"batching.fan_outs={[*fan_outs]}: each is 1 or more, or {ALL} for all")
        if len(fan_outs) != reach:
            example = ",".join(["10"] * reach)
            raise UserError(
                f"batching.fan_outs={[*fan_outs]}: this model looks {reach} hops away, so give "
                f"{reach} numbers, as in batching.fan_outs=[{example}]"
            )
        self.pattern = Pattern(dataset.store)
        self.train = dataset.split.train
        self.fan_outs = np.array(fan_outs, dtype=np.int64)
        self.nodes_per_batch = nodes_per_batch

    def epoch(self, generator: torch.Generator, rank: int, world_size: int) -> list[Tensor]:
        """The training nodes of each batch in a random order; of several devices each its share.

        As of small graphs, a last batch that leaves a device one node is left out: batch norm
        cannot use it.
        """
        order = self.train[torch.randperm(self.train.numel(), generator=generator)]
        chunks = list(order.split(self.nodes_per_batch))
        if len(chunks) > 1 and chunks[-1].numel() < 2 * world_size:
            chunks.pop()
        return [chunk[rank::world_size] for chunk in chunks]

    def cut(self, chunk: Tensor, draw: int) -> Part:
        """The part around the nodes `chunk`, with the random numbers of `draw`."""
        return sample(self.pattern, chunk, self.fan_outs, draw)


def surroundings(pattern: Pattern, rows: Tensor) -> Part:
    """The nodes `rows` with all their in-neighbours, for one layer."""
    return sample(pattern, rows, np.array([ALL]), 0)


def sample(pattern: Pattern, targets: Tensor, fan_outs: Any, draw: int) -> Part:
    """The part for `targets` (T,) that L layers need. Shapes: fan_outs (L,) int64.

    The last layer answers for the targets, the one before for those within one hop of them.
    """
    with pattern.places() as places:
        rowptr, col, nodes, sizes = _sample(
            array(pattern.rowptr),
            array(pattern.col),
            array(targets.int()),
            fan_outs,
            np.uint64(draw),
            places,
        )
    hops = pairwise(sizes.tolist())
    longest = pattern.longest
    graphs = [with_transpose(rowptr[: n + 1], col[: rowptr[n]], m, longest) for n, m in hops]
    return Part(tuple(reversed(graphs)), torch.from_numpy(nodes), torch.arange(targets.numel()))


@compiled
def _sample(
    rowptr: Any, col: Any, targets: Any, fan_outs: Any, draw: Any, places: Any
) -> tuple[Any, Any, Any, Any]:
    """Rows, columns and nodes, and how many nodes are within 0, 1, ... hops.

    `places` is all -1 before and after.
    """
    nodes, num_nodes = targets.copy(), len(targets)
    sizes = np.full(len(fan_outs) + 1, num_nodes)
    for i in range(num_nodes):
        places[targets[i]] = i
    chosen, num_entries = np.empty(0, np.int32), 0
    ends = np.zeros(1, np.int32)
    begin, end = 0, num_nodes
    for hop, fan_out in enumerate(fan_outs):
        wanted = 0
        for i in range(begin, end):
            degree = rowptr[nodes[i] + 1] - rowptr[nodes[i]]
            wanted += degree if fan_out < 0 else min(degree, fan_out)
        chosen = _longer(chosen, num_entries, num_entries + wanted)
        nodes = _longer(nodes, num_nodes, min(num_nodes + wanted, len(places)))
        ends = _longer(ends, begin + 1, end + 1)
        for i in range(begin, end):
            first, degree = rowptr[nodes[i]], rowptr[nodes[i] + 1] - rowptr[nodes[i]]
            count = degree if fan_out < 0 else min(degree, fan_out)
            row = chosen[num_entries : num_entries + count]
            _choose(degree, draw ^ uint64(nodes[i]), row)
            for n in range(count):
                j = col[first + row[n]]
                if places[j] < 0:
                    places[j] = num_nodes
                    nodes[num_nodes] = j
                    num_nodes += 1
                row[n] = places[j]
            row.sort()
            num_entries += count
            ends[i + 1] = num_entries
        begin, end = end, num_nodes
        sizes[hop + 1] = num_nodes
    for i in range(num_nodes):
        places[nodes[i]] = -1
    return ends, chosen, nodes[:num_nodes].copy(), sizes


@compiled
def _choose(degree: int, state: Any, row: Any) -> None:
    """Fill `row` with numbers below `degree`, distinct, each subset as likely: Floyd's algorithm.

    Bentley and Floyd, "A Sample of Brilliance" (Communications of the ACM, 1987).
    """
    count = len(row)
    for n in range(count):
        last = degree - count + n
        pick = last
        if count < degree:
            # SplitMix64 (Steele, Lea and Flood, OOPSLA 2014); a double has 53 bits
            state += uint64(0x9E3779B97F4A7C15)
            z = (state ^ (state >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
            z ^= z >> uint64(31)
            pick = int((z >> uint64(11)) * 2.0**-53 * (last + 1))
            for m in range(n):
                if row[m] == pick:
                    pick = last
                    break
        row[n] = pick


@compiled
def _longer(values: Any, used: int, size: int) -> Any:
    longer = np.empty(size, np.int32)
    longer[:used] = values[:used]
    return longer
