"""An audit as blocks to read: facts of the whole dataset, of its parts, and of folds together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gbench.audits.fact import Audit, Fact, Value

PARTS = ("train", "valid", "test")
NOTHING = "–"


class Block(NamedTuple):
    """One table: a row for each fact, a cell for each column."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


def title_of(audit: Audit) -> str:
    """`cora, split geom-gcn: 431 facts, computed in 2.1 s`."""
    return (
        f"{audit.dataset}, split {audit.split}: {len(audit.facts):,} facts, computed in "
        f"{audit.seconds:.1f} s"
    )


def blocks(audit: Audit) -> list[Block]:
    """All facts in their order; of several folds mean, least and greatest."""
    whole = [fact for fact in audit.facts if not fact.split]
    found = [Block("the whole dataset", ("",), [(f.fact, [text(f)]) for f in whole])]
    if any(fact.split in PARTS for fact in audit.facts):
        found.append(_parts(audit))
    elif audit.folds > 1:
        found.append(_folds(audit))
    else:
        one = [fact for fact in audit.facts if fact.split]
        found.append(Block(f"split {audit.split}", ("",), [(f.fact, [text(f)]) for f in one]))
    return [block for block in found if block.rows]


def _parts(audit: Audit) -> Block:
    names = dict.fromkeys(fact.fact for fact in audit.facts if fact.split in PARTS)
    by_place = {(fact.split, fact.fact): text(fact) for fact in audit.facts}
    rows = [(name, [by_place.get((part, name), NOTHING) for part in PARTS]) for name in names]
    return Block(f"parts of split {audit.split}", PARTS, rows)


def _folds(audit: Audit) -> Block:
    of_folds: dict[str, list[Fact]] = {}
    together: list[tuple[str, list[str]]] = []
    for fact in audit.facts:
        if fact.fold is not None:
            of_folds.setdefault(fact.fact, []).append(fact)
        elif fact.split and not _is_derived(fact.fact, of_folds):
            together.append((fact.fact, [text(fact), "", ""]))
    rows = [_range(name, facts, audit.folds) for name, facts in of_folds.items()]
    title = f"split {audit.split}, {audit.folds} folds"
    return Block(title, ("mean", "least", "greatest"), [*together, *rows])


def _is_derived(name: str, of_folds: dict[str, list[Fact]]) -> bool:
    bare = name.removesuffix(", minimum").removesuffix(", maximum")
    return name in of_folds or bare in of_folds


def _range(name: str, facts: Sequence[Fact], folds: int) -> tuple[str, list[str]]:
    of = "" if len(facts) == folds else f" (in {len(facts)} folds)"
    values = [fact.value for fact in facts]
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) < len(values):
        same = text(facts[0]) if len(set(values)) == 1 else "differs by fold"
        return name + of, [same, "", ""]
    mean, least, most = sum(numbers) / len(numbers), min(numbers), max(numbers)
    if least == most:
        return name + of, [_number(least, facts[0].unit), "", ""]
    return name + of, [_number(value, facts[0].unit) for value in (mean, least, most)]


def text(fact: Fact) -> str:
    """`2,708`, `81.30 %`, `0.8100`, `ROC-AUC 0.7611`; texts as they are."""
    return fact.value if isinstance(fact.value, str) else _number(fact.value, fact.unit)


def _number(value: Value, unit: str) -> str:
    if isinstance(value, str):
        return value
    if unit == "%":
        return f"{value:.2f} %"
    if unit == "count":
        return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".removesuffix(".00")
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"


def skipped(audit: Audit) -> Iterator[str]:
    """What was not computed, and why."""
    for what, why in audit.skipped.items():
        yield f"left out: {what}: {why}"
