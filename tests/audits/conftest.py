"""Facts that were computed without gbench: `reference.csv`, by another program from the raw files.

Names of datasets and splits are gbench's. What is equal in all folds stands under `<split> mean`
alone. Forests move by about 2 points with the order of columns; all else is exact.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import isclose
from pathlib import Path

import numpy as np
import pytest

from gbench.audits.audited import Audited, Split, audited
from gbench.audits.fact import Fact, over_folds
from gbench.data.manage import card_of

Place = tuple[str, int | None, str]  # split, fold and fact


@lru_cache
def _reference() -> dict[str, dict[Place, str]]:
    found: dict[str, dict[Place, str]] = {}
    with Path(__file__).with_name("reference.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            place = row["split"], int(row["fold"]) if row["fold"] else None, row["fact"]
            found.setdefault(row["dataset"], {})[place] = row["value"]
    return found


@pytest.fixture(scope="session")
def reference() -> Callable[[str], dict[Place, str]]:
    """`reference("cora")[split, fold, fact]`: the value as text."""
    return lambda dataset: _reference()[dataset]


@pytest.fixture(scope="session")
def agrees() -> Callable[..., int]:
    """`agrees(dataset, facts, names, splits)`: how many values of the reference were compared.

    Those of its facts that one of the regular expressions `names` matches whole, of the splits
    (and their means); it fails with all that differ and all that the facts lack.
    """

    def compared(
        dataset: str, facts: Iterable[Fact], names: Sequence[str], splits: Sequence[str]
    ) -> int:
        facts = list(facts)
        facts += [f for split in splits if split for f in over_folds(facts, split)]
        ours = {(f.split, f.fold, f.fact): f.value for f in facts}
        wanted = {
            place: value
            for place, value in _reference()[dataset].items()
            if place[0].removesuffix(" mean") in splits
            and any(re.fullmatch(name, place[2]) for name in names)
        }
        wrong = [
            f"{place}: {ours.get(place, 'missing')}, expected {value}"
            for place, value in wanted.items()
            if not _same(ours.get(place), value)
        ]
        assert not wrong, "\n".join(wrong)
        assert wanted, f"{dataset} has no such facts"
        return len(wanted)

    return compared


def _same(ours: float | int | str | None, theirs: str) -> bool:
    if ours is None or isinstance(ours, str):
        return ours == theirs
    return isclose(ours, float(theirs), rel_tol=1e-5, abs_tol=1e-6)


@pytest.fixture(scope="session")
def real(data_dir: Path, shared_cache: Path) -> Callable[[str, str], Audited]:
    """`real(name, split="")`: a dataset from GBENCH_DATA, read once for all tests of the room."""

    @lru_cache(maxsize=4)
    def read(name: str, split: str = "") -> Audited:
        return audited(card_of(name, split=split), data_dir, shared_cache)

    return read


@pytest.fixture(scope="session")
def ten_fold_idx(data_dir: Path, real: Callable[..., Audited]) -> Callable[[str], Audited]:
    """`ten_fold_idx("mutag")`: a TU set with the folds of the files of that name.

    They are not gbench's, whose folds are the GIN code's; the reference has these.
    """

    def read(name: str) -> Audited:
        data = real(name, "gin-10-fold-selects-on-test")
        folder = data_dir / data.card.folder / ".." / "10fold_idx"
        splits = []
        for fold in range(1, 11):
            train, test = (
                np.sort(np.loadtxt(folder / f"{part}_idx-{fold}.txt", dtype=np.int64))
                for part in ("train", "test")
            )
            splits.append(Split(train, test, test))
        return replace(data, card=replace(data.card, split="10fold_idx"), splits=splits)

    return read
