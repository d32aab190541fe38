"""The same graphs, the same bits; and the graphs stay what they are."""

from __future__ import annotations

import torch
from lightning.pytorch import seed_everything

from gbench.contracts.contract import BrokenError, Contract
from gbench.contracts.encodings.subject import Encoding
from gbench.data.encodings.parts import options_of
from gbench.data.store import pack


def check(encoding: Encoding) -> None:
    options = options_of(encoding.settings)
    graph, node_ptr = pack(encoding.graphs).union()
    before = [value.clone() for value in (*graph.arrays, node_ptr)]
    answers = []
    for seed in (11, 12):
        seed_everything(seed, verbose=False)
        answers.append(encoding.function(graph, node_ptr, **options).clone())
    if not torch.equal(*answers):
        raise BrokenError("called twice on the same graphs it answers differently")
    now = [*graph.arrays, node_ptr]
    if not all(torch.equal(a, b) for a, b in zip(before, now, strict=True)):
        raise BrokenError("it writes into the graph, which is the dataset's own")


CONTRACT = Contract(
    "repeatable",
    "the same graphs have the same encoding, whatever the seed, and stay what they are",
    "it is computed once and kept: each machine would train on another encoding",
    "random numbers: torch.Generator().manual_seed of an option gives the same ones each time",
    check,
    ("answers",),
)
