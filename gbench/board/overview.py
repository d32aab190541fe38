"""Several audits in one table: what a score on each dataset is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gbench.audits.fact import Audit
from gbench.board.worth import Figure, worth
from gbench.data.spec import DataCard
from gbench.figures import UNKNOWN, metric_text, unit

if TYPE_CHECKING:
    from rich.console import Console

HEADS = (
    "data",
    "split",
    "folds",
    "items",
    "metric",
    "constant",
    "features alone",
    "copy the twin",
    "ceiling",
    "ceiling, one rule",
    "unreachable",
)
MEANING = (
    "means over folds. constant: the most frequent training label, the positive rate, or the "
    "median; features alone: logistic regression, of graphs a forest on sizes and label counts; "
    "copy the twin: the label of a training item that looks the same, elsewhere what features "
    "alone say, of graphs the most frequent label; ceiling: the best score of a rule that sees "
    "features and edges alone, one for each test part, or one for the whole dataset; unreachable: "
    "test nodes with no path to a training node"
)


def overview(cards: Sequence[DataCard], audits: Sequence[Audit]) -> list[list[str]]:
    """A row for each audit, of cells as HEADS names them."""
    return [_row(card, audit) for card, audit in zip(cards, audits, strict=True)]


def draw_overview(cards: Sequence[DataCard], audits: Sequence[Audit], console: Console) -> None:
    """Print the rows as aligned lines, and what their columns mean."""
    rows = [HEADS, *overview(cards, audits)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            f"{cell:{width}}" if i in (0, 1, 4) else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        console.print("  ".join(cells).rstrip(), soft_wrap=True)
    console.print(MEANING, style="dim")
    every = "every fact: gbench data audit NAME, or --format md, csv, json or html"
    console.print(every, style="dim")


def markdown(cards: Sequence[DataCard], audits: Sequence[Audit]) -> str:
    """The rows as a pipe table under a heading."""
    rows = [HEADS, ["---"] * len(HEADS), *overview(cards, audits)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["## What scores are worth", "", *lines, "", MEANING])


def _row(card: DataCard, audit: Audit) -> list[str]:
    known = worth(audit, card.metric)
    figures = (
        (known.constant, known.features, known.twins, known.ceiling, known.one_rule)
        if known
        else (None,) * 5
    )
    items = audit.find("graphs" if card.level == "graph" else "nodes")
    return [
        audit.dataset,
        audit.split,
        str(audit.folds),
        f"{items:,}" if isinstance(items, int) else UNKNOWN,
        card.metric,
        *(_text(card.metric, figure) for figure in figures),
        f"{known.unreachable.mean:,.1f}".removesuffix(".0")
        if known and known.unreachable
        else UNKNOWN,
    ]


def _text(metric: str, figure: Figure | None) -> str:
    return UNKNOWN if figure is None else metric_text(metric, figure.mean) + unit(metric)
