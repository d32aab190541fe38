"""Rows held against the ceilings of their dataset's audit, and against its floors."""

from __future__ import annotations

import math
from dataclasses import replace

from gbench.audits.fact import Audit
from gbench.board.published import Published
from gbench.board.sight import Sight, sight, sight_of_published
from gbench.board.statistics import ALPHA, Spread, apart, compare, holm
from gbench.board.tables import Row, Table, by_run
from gbench.board.worth import AgainstFloor, Bar, Beyond, Figure, Worth, worth

# a ceiling is exact; a score may be computed in single precision
_ROUNDING = 1e-6


def flagged(table: Table, audit: Audit | None) -> Table:
    """The table with what its dataset's audit says of scores, and a word on each row.

    Rows are held against the best floor, of the audit or among the rows themselves, and against the
    ceiling of what their model can see. Not held against the audit is a row of which a run saw
    other data, or a fold that was not audited; and a single run not against a floor.
    """
    known = worth(audit, table.metric) if audit else None
    sign = 1.0 if table.direction == "max" else -1.0
    bar = _bar(table, known, sign)
    is_whole = audit is not None and not any(what.startswith("folds ") for what in audit.skipped)
    p_of_rows = _corrected([_p_of_row(row, bar, audit) for row in table.rows])
    p_of_papers = _corrected([_p_of_paper(paper, bar) for paper in table.published])
    return replace(
        table,
        worth=known,
        bar=bar,
        rows=tuple(
            replace(
                row,
                against_floor=_word(p, row.test.mean, bar, sign),
                beyond=_beyond(row, known, sign) if _saw(row, audit) else "",
            )
            for row, p in zip(table.rows, p_of_rows, strict=True)
        ),
        published=tuple(
            replace(
                paper,
                against_floor=_word(p, paper.mean, bar, sign),
                beyond=_beyond_of_paper(paper, known, sign) if is_whole else "",
            )
            for paper, p in zip(table.published, p_of_papers, strict=True)
        ),
    )


def _corrected(p_values: list[float]) -> list[float]:
    """After Holm, for the number of those that are known: no other was compared."""
    known = iter(holm([p for p in p_values if not math.isnan(p)]))
    return [p if math.isnan(p) else next(known) for p in p_values]


def _saw(row: Row, audit: Audit | None) -> bool:
    return audit is not None and all(run.fingerprint == audit.fingerprint for run in row.runs)


def _bar(table: Table, known: Worth | None, sign: float) -> Bar | None:
    """The best floor; of equals one of the audit, and of these the first that is told.

    A row without a network counts if it has every fold that another row has.
    """
    needed = {run.fold for row in table.rows for run in row.runs}
    floors = known.floors if known else {}
    bars = [Bar(name, of.mean, of.by_fold, {}, is_fact=True) for name, of in floors.items()]
    for row in table.rows:
        if row.no_network and not math.isnan(row.test.mean):
            runs = by_run(row.runs)
            folds: dict[int, list[float]] = {}
            for (_, fold), test in runs.items():
                folds.setdefault(fold, []).append(test)
            if needed - folds.keys():
                continue
            means = {fold: math.fsum(tests) / len(tests) for fold, tests in folds.items()}
            drawn = runs if len(runs) > len(folds) else {}
            bars.append(Bar(row.model, row.test.mean, means, drawn, is_fact=False))
    return max(bars, key=lambda bar: sign * bar.mean, default=None)


def _p_of_row(row: Row, bar: Bar | None, audit: Audit | None) -> float:
    """That a row and the floor have one mean; NaN where nothing can tell."""
    if bar is None or row.no_network or math.isnan(row.test.mean):
        return math.nan
    ours = by_run(row.runs)
    if bar.by_run:
        return compare(ours, bar.by_run).p
    if bar.is_fact and not _saw(row, audit):
        return math.nan
    # a floor without chance has one value in each fold, whatever the seed
    theirs = {run: bar.by_fold[run[1]] for run in ours if run[1] in bar.by_fold}
    return compare(ours, theirs).p if len(theirs) == len(ours) else math.nan


def _p_of_paper(paper: Published, bar: Bar | None) -> float:
    """The same of a printed mean, the floor taken for a fixed number."""
    if bar is None or math.isnan(paper.mean):
        return math.nan
    return apart(Spread(paper.mean, paper.sample_std), paper.n or 1, bar.mean, paper.resolution)


def _word(p: float, mean: float, bar: Bar | None, sign: float) -> AgainstFloor:
    if bar is None or math.isnan(p):
        return ""
    if p > ALPHA:
        return "equal"
    return "worse" if sign * mean < sign * bar.mean else ""


def _ceiling(seen: Sight, known: Worth | None) -> tuple[Beyond, Figure] | None:
    """The ceiling of what a model sees, or where the audit has none of that, of more."""
    if known is None or seen == "all":
        return None
    of: list[tuple[Beyond, Figure | None]] = [
        ("features", known.features_ceiling),
        ("1-WL", known.colours),
        ("isomorphism", known.isomorphism),
    ]
    start = [name for name, _ in of].index(seen)
    found = next(((name, figure) for name, figure in of[start:] if figure is not None), None)
    return found if found and found[1].is_bound else None


def _beyond(row: Row, known: Worth | None, sign: float) -> Beyond:
    """The ceiling that a row's mean is above, fold by fold the ceiling of its own test part."""
    found = _ceiling(sight(row.runs[-1].config, row.own_code), known)
    bounds = found and found[1].of(run.fold for run in row.runs)
    if not found or not bounds:
        return ""
    bound = math.fsum(bounds) / len(bounds)
    return found[0] if sign * (row.test.mean - bound) > _ROUNDING else ""


def _beyond_of_paper(paper: Published, known: Worth | None, sign: float) -> Beyond:
    """The same of a printed mean, by no more than it may have been rounded.

    Of a paper that averages over fewer runs than there are folds nobody knows over which.
    """
    found = _ceiling(sight_of_published(paper), known)
    if not found:
        return ""
    name, figure = found
    values = figure.by_fold.values()
    is_of_all = paper.n is None or paper.n >= len(values)
    bound = figure.mean if is_of_all else max(values, key=lambda value: sign * value)
    over = sign * (paper.mean - bound) - paper.resolution / 2
    return name if over > _ROUNDING else ""
