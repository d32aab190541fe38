"""Loaded by another process it is the same dataset."""

from __future__ import annotations

from gbench.contracts.contract import BrokenError, Contract
from gbench.contracts.loaders.subject import Loader


def check(loader: Loader) -> None:
    elsewhere = loader.fingerprint_elsewhere()
    if elsewhere != loader.dataset.fingerprint:
        what = "it is another dataset" if len(elsewhere.split()) == 1 else elsewhere
        raise BrokenError(f"in another process, which orders sets and folders otherwise: {what}")


CONTRACT = Contract(
    "process",
    "another process loads the same",
    "every start trains on data of its own, and results do not compare",
    "orders of a set, hash(), os.listdir and glob without sorted(), the time, the process's id",
    check,
    ("sound", "repeatable"),
)
