"""Finite numbers, a row per node or pair of nodes, as wide for a tiny graph as for any."""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.contracts.contract import BrokenError, Contract
from gbench.contracts.encodings.subject import Encoding


def check(encoding: Encoding) -> None:
    whole = encoding.of(encoding.graphs)
    for graphs in (encoding.graphs, *([graph] for graph in encoding.graphs)):
        answer: object = encoding.of(graphs)
        nodes = sum(graph.x.size(0) for graph in graphs)
        edges = sum(graph.edge_index.size(1) for graph in graphs)
        what = f"{nodes} nodes and {edges} directed edges"
        if not isinstance(answer, Tensor) or not answer.is_floating_point():
            kind = answer.dtype if isinstance(answer, Tensor) else type(answer).__name__
            raise BrokenError(f"it answers with {kind}, where floats (N, K) are wanted")
        wanted = (sum(map(encoding.rows, graphs)), whole.size(-1) if whole.dim() else 0)
        if answer.shape != wanted:
            of_pairs = ", a row per pair of nodes of a graph," if encoding.are_pairs else ""
            raise BrokenError(
                f"it answers with shape {tuple(answer.shape)} to {what}, where {wanted}{of_pairs} "
                "is wanted"
            )
        if not bool(torch.isfinite(answer).all()):
            raise BrokenError(f"it answers {answer[~answer.isfinite()][0].item()} to {what}")


CONTRACT = Contract(
    "answers",
    "finite floats, a row per node (or pair) and always as wide, also for one node and no edges",
    "training ends in an error, or with nan, on data that has such a graph",
    "divisions by a degree, and graphs with fewer nodes than columns",
    check,
)
