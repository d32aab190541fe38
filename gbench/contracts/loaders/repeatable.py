"""Loaded twice it is the same dataset."""

from __future__ import annotations

from gbench.contracts.contract import BrokenError, Contract
from gbench.contracts.loaders.subject import Loader


def check(loader: Loader) -> None:
    if loader.load(seed=1).fingerprint != loader.dataset.fingerprint:
        raise BrokenError("loaded twice, with other random numbers before, it is another dataset")


CONTRACT = Contract(
    "repeatable",
    "loaded again it is the same, bit by bit, whatever the seed",
    "each machine trains on data and splits of its own, and results do not compare",
    "random numbers: numpy.random.RandomState(0) and torch.Generator give the same each time",
    check,
    ("sound",),
)
