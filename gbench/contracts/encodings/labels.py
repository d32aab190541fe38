"""Labels cannot be read: a function that is given the graph alone has none."""

from __future__ import annotations

from gbench.contracts.contract import Contract, NotApplicableError
from gbench.contracts.encodings.subject import Encoding


def check(encoding: Encoding) -> None:
    raise NotApplicableError("an encoding is given the edges alone, and no labels")


CONTRACT = Contract(
    "labels",
    "no label is read",
    "labels of the test part stand in the features",
    "files that the function opens",
    check,
)
