"""Other graphs of a dataset do not matter."""

from __future__ import annotations

import torch

from gbench.contracts.contract import Contract
from gbench.contracts.encodings.subject import Encoding


def check(encoding: Encoding) -> None:
    together = encoding.of(encoding.graphs)
    alone = torch.cat([encoding.of([graph]) for graph in encoding.graphs])
    sizes = [encoding.rows(graph) for graph in encoding.graphs]
    encoding.same(alone, together, sizes, "beside other graphs of the dataset it is another")


CONTRACT = Contract(
    "batching",
    "a graph's encoding alone is its encoding in any dataset",
    "training graphs are encoded with what test graphs say, such as their largest degree",
    "means, maxima and norms over all nodes; node_ptr says where each graph begins",
    check,
    ("answers", "repeatable"),
)
