"""All facts of real node datasets that were computed without gbench as well."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from gbench.audits import homophily, leaks, node_ceilings, node_floors, parts, shape, twins
from gbench.audits.audited import Audited
from gbench.audits.definitions import is_defined
from gbench.audits.fact import Fact

pytestmark = pytest.mark.data

KINDS = (shape, parts, homophily, twins, node_ceilings, leaks, node_floors)
NAMES = [
    re.sub(r"\\{\w+\\}", r"[\\w-]+", re.escape(name)) + "(, minimum|, maximum)?"
    for kind in KINDS
    for name in kind.DEFINITIONS
    if name != "edge entries in file"  # told where training reads others alone
]


def facts(data: Audited) -> Iterator[Fact]:
    for kind in KINDS:
        yield from kind.facts(data)


@pytest.mark.parametrize(
    ("name", "splits", "number"),
    [
        ("cora", ["", "public"], 50),
        ("cora", ["full"], 25),
        ("cora", ["geom-gcn"], 150),
        ("citeseer", ["full"], 25),
        ("citeseer", ["geom-gcn"], 250),
        ("texas", ["", "geom-gcn"], 300),
        ("cornell", ["", "geom-gcn"], 300),
        ("chameleon", ["", "geom-gcn"], 400),
        ("actor", ["", "geom-gcn"], 450),
        ("minesweeper", ["", "platonov"], 100),
        # folds of the computation are draws of its own
        ("photo", [""], 50),
    ],
)
def test_every_value(
    real: Callable[..., Audited],
    agrees: Callable[..., int],
    name: str,
    splits: list[str],
    number: int,
) -> None:
    data = real(name, splits[-1] if name in ("cora", "citeseer") else "")
    if splits == [""]:
        data = replace(data, splits=data.splits[:1])
    assert agrees(name, facts(data), NAMES, splits) >= number
    assert not {what for what in data.skipped if not what.startswith("folds")}


def test_every_fact_is_defined(real: Callable[..., Audited]) -> None:
    known = [kind.DEFINITIONS for kind in KINDS]
    for name in ("chameleon", "minesweeper", "citeseer"):
        assert not [fact for fact in facts(real(name, "")) if not is_defined(fact.fact, known)]


def test_a_table_answers_chameleon(real: Callable[..., Audited]) -> None:
    """Copy the label of a training node with the same out-neighbours: better than most networks."""
    data = real("chameleon", "geom-gcn")
    name = "table lookup by out-neighbours, else logistic regression"
    values = [float(fact.value) for fact in leaks.facts(data) if fact.fact == name]
    assert sum(values) / len(values) == pytest.approx(78.9474, abs=1e-3)
