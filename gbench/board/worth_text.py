"""What a score is worth in words: the line beside a table, and the notes that define it."""

from __future__ import annotations

from collections.abc import Iterator

from gbench.board.published import Published
from gbench.board.tables import Row, Table
from gbench.board.worth import Figure, Worth
from gbench.figures import metric_text, unit

NO_NETWORK = "no network"
_CONSTANTS = {
    "constant baseline": "majority, the most frequent training label",
    "constant score": "constant score, the same for all items",
    "median baseline": "median, that of the training targets",
    "mean baseline": "mean, that of the training targets",
}
_AGAINST = {"equal": "= floor", "worse": "worse than floor"}


def worth_line(table: Table) -> str:
    """`ceiling 95.30 %, of one rule for the whole dataset 88.60 %; majority 48.20 %; ...`.

    Empty where the dataset has no audit.
    """
    known = table.worth
    if known is None:
        return ""
    told = []
    if known.ceiling:
        told.append(f"ceiling {_text(table, known.ceiling)}")
    if colours := _below(known):
        told.append(f"ceiling of 1-WL {_text(table, colours)}")
    if known.one_rule:
        told.append(f"ceiling of one rule for the whole dataset {_text(table, known.one_rule)}")
    told += [f"{name} {_text(table, figure)}" for name, figure in known.floors.items()]
    if known.unreachable:
        of = f" of {_count(known.test_items)}" if known.test_items else ""
        items = "links" if "links" in known.unreachable.fact else "nodes"
        told.append(f"unreachable test {items} {_count(known.unreachable)}{of}")
    of = f" of {table.num_folds}" if known.folds < table.num_folds else ""
    folds = f", means over {known.folds}{of} folds" if known.folds > 1 else ""
    return f"what a score is worth (audit{folds}): {'; '.join(told)}"


def _below(known: Worth) -> Figure | None:
    """The ceiling of 1-WL, where it is not that of isomorphism."""
    if known.colours is None or known.ceiling is None:
        return None
    return None if known.colours.by_fold == known.ceiling.by_fold else known.colours


def _text(table: Table, figure: Figure) -> str:
    return metric_text(table.metric, figure.mean) + unit(table.metric)


def _count(figure: Figure | None) -> str:
    return "" if figure is None else f"{figure.mean:,.1f}".removesuffix(".0")


def remark(line: Row | Published) -> str:
    """What is to be said of a row: `no network`, `= floor`, `worse than floor`, `beyond 1-WL`."""
    return ", ".join(remarks(line))


def remarks(line: Row | Published) -> list[str]:
    """The same one by one."""
    said = [NO_NETWORK] if isinstance(line, Row) and line.no_network else []
    if line.against_floor:
        said.append(_AGAINST[line.against_floor])
    if line.beyond:
        said.append(f"beyond {line.beyond}")
    return said


def worth_notes(table: Table) -> Iterator[str]:
    """What the line and the remarks on rows mean, as far as they are there."""
    lines: list[Row | Published] = [*table.rows, *table.published]
    if table.worth:
        yield _definitions(table.worth)
    if any(row.no_network for row in table.rows):
        yield (
            f"{NO_NETWORK}: a floor, ranked and compared like any other row; its settings are what "
            "validation chose"
        )
    if any(line.against_floor for line in lines) and table.bar:
        said = metric_text(table.metric, table.bar.mean) + unit(table.metric)
        yield (
            "= floor, worse than floor: not told apart from the best floor, "
            f"{table.bar.name} {said}, or worse, by t tests (each run against its value in its "
            "fold, a printed mean against its mean; 5 %, corrected for their number after Holm)"
        )
    if any(line.beyond for line in lines):
        yield (
            "beyond features, 1-WL or isomorphism: better than any function of no more than that "
            "can be here; such a score used something else, as positions, random features, "
            "directions of edges, self-loops or labels"
        )


def _definitions(known: Worth) -> str:
    said = []
    if known.ceiling:
        seen = "isomorphism classes" if known.isomorphism else "stable 1-WL colours"
        best = (
            f"the best score of a function of {seen} on each test part"
            if known.ceiling.is_bound
            else f"that of the share of positive items of {seen} on each test part, which can be "
            "passed by a little"
        )
        said.append(f"ceiling, {best} ({known.ceiling.fact})")
    if colours := _below(known):
        said.append(f"of 1-WL, that of stable 1-WL colours ({colours.fact})")
    if known.one_rule:
        said.append(f"of one rule, that of one function for all items ({known.one_rule.fact})")
    if known.constant:
        said.append(f"{_CONSTANTS[known.constant.fact]} ({known.constant.fact})")
    if known.features:
        said.append(f"features alone, {known.features.fact}")
    if known.twins:
        said.append(
            f"copy the twin, {known.twins.fact} (of several labels the majority, of ties the "
            "smallest)"
        )
    if known.propagation:
        said.append("label propagation, training labels spread along the edges, no features")
    if known.neighbours:
        said.append("common neighbours, their number for each pair")
    if known.unreachable:
        is_links = "links" in known.unreachable.fact
        where = "between two components" if is_links else "in a component without a training node"
        said.append(f"unreachable, {where}")
    return f"audit: {'; '.join(said)}"
