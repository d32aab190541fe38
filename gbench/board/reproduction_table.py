"""The table of what was reproduced: on a terminal, as Markdown and as a page."""

from __future__ import annotations

import html as escaping
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from gbench.board.reproduction import Reproduction
from gbench.board.statistics import POOLING
from gbench.figures import UNKNOWN, few_runs, metric_text, seconds_text, unit
from gbench.metrics import is_percent

if TYPE_CHECKING:
    from rich.console import Console

HEADS = ("experiment", "metric", "paper", "n", "ours", "n", "difference", "verdict", "time")
_FIGURES = (2, 3, 4, 5, 6, 8)  # of HEADS: set to the right
_VERDICT = HEADS.index("verdict")
_WIDE = 110  # a narrower terminal shows the columns that matter most
_MEANING = (
    "The difference is ours minus the paper's, in brackets in standard errors of that difference. "
    "agrees: equivalence within the paper's own standard deviation (two one-sided t tests, 5 %); "
    "below, above: a two-sided t test tells the means apart; inconclusive: neither, more runs "
    f"would tell. The tests take {POOLING}. Time is that of all runs together."
)
_QUIRK = "† the paper's protocol selects on test data, or repeats an error of its code"


def draw(results: Sequence[Reproduction], console: Console) -> None:
    """Print the table; a verdict that is not "agrees" is in colour."""
    from rich import box
    from rich.table import Table

    if not results:
        return
    hidden = {"metric", "time"} if console.width < _WIDE else set()
    shown = [position for position, head in enumerate(HEADS) if head not in hidden]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), collapse_padding=True)
    for position in shown:
        justify: Literal["left", "right"] = "right" if _is_right(position) else "left"
        wraps = HEADS[position] == "experiment"
        table.add_column(HEADS[position], justify=justify, no_wrap=not wraps, overflow="fold")
    colours = {"below": "red", "above": "cyan", "inconclusive": "yellow"}
    for result in results:
        texts = cells(result)
        colour = colours.get(result.verdict.word) if result.verdict else None
        if colour:
            texts[_VERDICT] = f"[{colour}]{texts[_VERDICT]}[/]"
        table.add_row(*(texts[position] for position in shown))
    console.print(table)
    for note in _notes(results):
        console.print(note, style="dim")


def markdown(results: Sequence[Reproduction]) -> str:
    """A pipe table, what its words mean, and where the papers' figures stand."""
    rules = ["---:" if _is_right(position) else "---" for position in range(len(HEADS))]
    rows = [HEADS, rules, *map(cells, results)]
    notes = [*_notes(results), *_sources(results)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


def html(results: Sequence[Reproduction]) -> str:
    """The same as one page that needs no network, in the reader's light or dark colours."""

    def row(tag: str, texts: Sequence[str]) -> str:
        cells = (
            f"<{tag}{' class=r' if _is_right(position) else ''}>{escaping.escape(text)}</{tag}>"
            for position, text in enumerate(texts)
        )
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(row("td", cells(result)) for result in results)
    notes = "".join(
        f"<li>{escaping.escape(note)}</li>" for note in (*_notes(results), *_sources(results))
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>gbench: what was reproduced</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }}
body {{ max-width: 70rem; margin: 2rem auto; padding: 0 1rem }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse; white-space: nowrap; font-variant-numeric: tabular-nums }}
th, td {{ padding: .25rem .75rem; border-bottom: 1px solid color-mix(in srgb, currentColor 20%,
  transparent); text-align: left }}
.r {{ text-align: right }}
</style>
<h1>What was reproduced</h1>
<div tabindex="0" role="region" aria-label="results"><table>
<thead>{row("th", HEADS)}</thead>
<tbody>
{body}
</tbody></table></div>
<ul>{notes}</ul>
</html>
"""


def cells(result: Reproduction) -> list[str]:
    """One row: figures as papers print them, percentages where they do."""
    paper, said, metric = result.published, result.verdict, result.metric
    difference = UNKNOWN
    if paper is not None:
        scale, digits = (100, 2) if is_percent(metric) else (1, 4)
        difference = f"{scale * result.difference:+.{digits}f}"
    if said is not None and math.isfinite(said.standard_errors):
        difference += f" ({said.standard_errors:+.1f})"
    return [
        result.experiment + (" †" if result.quirk else ""),
        metric + unit(metric),
        UNKNOWN if paper is None else metric_text(metric, paper.mean, paper.std),
        UNKNOWN if paper is None or paper.n is None else str(paper.n),
        metric_text(metric, *result.ours),
        str(result.n),
        difference,
        UNKNOWN if said is None else said.word + few_runs(result.n),
        seconds_text(result.seconds),
    ]


def _is_right(position: int) -> bool:
    return position in _FIGURES


def _notes(results: Sequence[Reproduction]) -> list[str]:
    return [_MEANING, *([_QUIRK] if any(result.quirk for result in results) else [])]


def _sources(results: Sequence[Reproduction]) -> list[str]:
    """Each source once, with the experiments that it is of."""
    by_source: dict[str, list[str]] = {}
    for result in results:
        if result.published is not None:
            by_source.setdefault(result.published.source, []).append(result.experiment)
    return [f"{source}: {', '.join(names)}" for source, names in sorted(by_source.items())]
