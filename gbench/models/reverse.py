"""A batch with its edges the other way round, for models that look along them and against them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from gbench.data.batch import Batch


def reverse(batch: Batch) -> Batch:
    """The batch on `batch.graph.t`: a node's in-neighbours are the nodes that it sent to.

    Values of edges go with them. Kept with a batch that comes again.
    """
    kept: Batch | None = batch.memo.get("reverse")
    if kept is None or kept.graph.rowptr is not batch.graph.rowptr_t or kept.x is not batch.x:
        # what validation leaves here is trained on: autograd refuses inference-mode tensors
        with torch.inference_mode(False):
            order = batch.graph.perm_t
            of_edges: dict[str, Any] = {
                name: None if values is None else values.index_select(0, order)
                for name in ("edge_code", "edge_weight", "edge_attr")
                for values in (getattr(batch, name),)
            }
            graph = batch.graph.t
        kept = replace(batch, graph=graph, memo={}, **of_edges)
        if batch.is_kept:
            batch.memo["reverse"] = kept
    return kept
