"""Layers one after another, in chunks of nodes, are the model."""

from __future__ import annotations

from dataclasses import replace

import torch

from gbench.contracts.contract import Contract, NotApplicableError
from gbench.contracts.models.subject import Subject
from gbench.contracts.pieces import packed
from gbench.data.big.part import Pattern
from gbench.train.layerwise import predict

ENTRIES = (1, 20)  # at once, so that there are many chunks, and some


def check(subject: Subject) -> None:
    if not subject.is_node_level:
        raise NotApplicableError("only one graph is trained on in parts")
    model = subject.model()
    if not (hasattr(model, "embed") and hasattr(model, "steps")):
        raise NotApplicableError("it has no embed and steps: batching=full alone is for it")
    if subject.dataset.spec.edge_categories is not None:
        raise NotApplicableError("a graph with features of edges is not cut into parts")
    store = packed(subject.pieces, "node")
    x, pe = store.x, store.pe
    if x.is_floating_point():
        store = replace(store, x=x.to(subject.dtype))
    if pe is not None:
        store = replace(store, pe=pe.to(subject.dtype))
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
