"""Other graphs of a batch do not matter."""

from __future__ import annotations

import torch

from gbench.contracts.contract import BrokenError, Contract, NotApplicableError
from gbench.contracts.models.subject import Subject


def check(subject: Subject) -> None:
    if subject.is_node_level:
        raise NotApplicableError("node-level data is one graph")
    model = subject.model()
    together = subject.answers(model, subject.pieces)
    alone = torch.cat([subject.answers(model, [piece]) for piece in subject.pieces])
    try:
        subject.same(alone, together, "beside others in a batch a graph's answer changes")
    except BrokenError as error:
        first, *rest = subject.pieces
        others = [p._replace(graph=p.graph._replace(x=p.graph.x.flip(1))) for p in rest]
        now = subject.answers(model, [first, *others])[0]
        reads = first.graph.x.is_floating_point() and not torch.allclose(now, together[0])
        how = "their features" if reads else "their number, size or order"
        raise BrokenError(f"{error}: it depends on {how}") from error


CONTRACT = Contract(
    "batching",
    "a graph's answer alone is its answer in any batch",
    "it mixes the graphs of a batch: the metric depends on the batch size and on which graphs meet",
    "means and norms over all nodes of a batch; batch.batch says the graph of each node",
    check,
    ("answers", "repeatable"),
)
