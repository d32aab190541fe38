"""Layers one after another, in chunks of nodes, are the model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from gbench.contracts.contract import Contract, NotApplicableError
from gbench.contracts.models.subject import Subject
from gbench.contracts.pieces import packed
from gbench.data.big.part import Pattern
from gbench.train.layerwise import predict

ENTRIES = (1, 20)  # at once, so that there are many chunks, and some


def check(subject: Subject) -> None:
    if not subject.is_node_level or len(subject.pieces) > 1:
        raise NotApplicableError("only one graph is trained on in parts")
    model = subject.model()
    if not (hasattr(model, "embed") and hasattr(model, "steps")):
        raise NotApplicableError("it has no embed and steps: batching=full alone is for it")
    spec = subject.dataset.spec
    if spec.edge_categories is not None or spec.edge_dim or spec.has_edge_weight:
        raise NotApplicableError("a graph with features of edges is not cut into parts")
    store = packed(subject.pieces, "node")
    floats = {name: getattr(store, name) for name in ("x", "pe", "x_numbers")}
    cast: dict[str, Any] = {
        name: value.to(subject.dtype)
        for name, value in floats.items()
        if value is not None and value.is_floating_point()
    }
    store = replace(store, **cast)
    whole = subject.answers(model, subject.pieces)
    ids = torch.arange(whole.size(0)).flip(0)
    for entries in ENTRIES:
        with torch.no_grad():
            by_layers = predict(
                model, store, Pattern(store), ids, torch.device("cpu"), entries_at_once=entries
            )
        subject.same(whole[ids], by_layers, "layer by layer the answers are others,")


CONTRACT = Contract(
    "layer-wise",
    "embed and steps, in chunks of nodes, give what forward gives on the whole graph",
    "with batching=neighbours or partitions another model is trained and evaluated",
    "what forward does before, between and after the layers that steps() returns",
    check,
    ("answers", "repeatable"),
)
