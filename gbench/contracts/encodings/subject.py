"""An encoding's function with its options, and tiny graphs to call it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gbench.contracts import tiny
from gbench.contracts.contract import BrokenError
from gbench.data.encodings.parts import are_pairs, options_of
from gbench.data.source import Graph
from gbench.data.store import pack

NEAR = 1e-4


@dataclass(frozen=True, eq=False)
class Encoding:
    """The settings of conf/encoding, and the function that they name."""

    settings: Mapping[str, Any]
    function: Callable[..., Tensor]

    @property
    def sign_is_free(self) -> bool:
        """Whether a column may come with either sign in each graph."""
        return bool(self.settings.get("random_signs", False))

    @cached_property
    def graphs(self) -> list[Graph]:
        """Tiny graphs: one node, no edges, two parts, directed, a node without edges."""
        return tiny.connected_and_not()

    def of(self, graphs: Sequence[Graph]) -> Tensor:
        """What it says of the nodes of these graphs, as training calls it."""
        graph, node_ptr = pack(graphs).union()
        return self.function(graph, node_ptr, **options_of(self.settings))

    @property
    def are_pairs(self) -> bool:
        """Whether it says something of each ordered pair of nodes of a graph."""
        return are_pairs(self.settings)

    def rows(self, graph: Graph) -> int:
        """How many it has for a graph."""
        nodes = graph.x.size(0)
        return nodes**2 if self.are_pairs else nodes

    def same(self, one: Tensor, other: Tensor, sizes: Sequence[int], what: str) -> None:
        """Raise BrokenError where encodings differ, up to the sign of each graph's columns."""
        if one.shape != other.shape:
            raise BrokenError(f"{what}: shape {tuple(other.shape)} instead of {tuple(one.shape)}")
        for index, (a, b) in enumerate(
            zip(one.split(list(sizes)), other.split(list(sizes)), strict=True)
        ):
            off = (a - b).abs().amax(0)
            if self.sign_is_free:
                off = torch.minimum(off, (a + b).abs().amax(0))
            if bool((off > NEAR).any()):
                column = int(off.argmax())
                raise BrokenError(
                    f"{what}: column {column} of graph {index} changes by up to {off.max():.2g}"
                )
