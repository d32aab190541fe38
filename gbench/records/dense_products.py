"""Which dense layers some runs multiplied in different ways: see gbench/kernels/cpu/ways.py.

Another processor chooses other ways, whose sums are in another order: equal runs may then end in
results that are not equal.
"""

from __future__ import annotations

from collections.abc import Sequence

from gbench.records.record import RunRecord


def differing_products(records: Sequence[RunRecord]) -> dict[str, list[str | None]]:
    """The ways of each class of layers that runs differ in, in their order; None of one without it.

    That a run has no such layer, as another model has none, is no difference.
    """
    classes = dict.fromkeys(key for record in records for key in record.dense_products)
    ways = {
        key: [
            None if (of := record.dense_products.get(key)) is None else _words(of)
            for record in records
        ]
        for key in classes
    }
    return {key: row for key, row in ways.items() if len({*row} - {None}) > 1}


def _words(ways: dict[str, str]) -> str:
    return ", ".join(f"{product} {way}" for product, way in ways.items())
