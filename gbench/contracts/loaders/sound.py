"""Graphs, labels and splits are what the card says."""

from __future__ import annotations

from gbench.contracts.contract import BrokenError, Contract
from gbench.contracts.loaders.subject import Loader
from gbench.errors import UserError


def check(loader: Loader) -> None:
    try:
        loader.dataset  # noqa: B018 - loading checks it
    except UserError as error:
        raise BrokenError(str(error)) from error


CONTRACT = Contract(
    "sound",
    "graphs, labels and splits fit the card: disjoint parts, labels that the loss is made for",
    "gbench train refuses it",
    "what the loader returns (gbench/data/source.py), and the YAML's level, loss and num_folds",
    check,
)
