"""The table of what was reproduced: on a terminal, as Markdown and as a page."""

from __future__ import annotations

import html as escaping
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from gbench.board.reproduction import Reproduction
from gbench.board.statistics import POOLING
from gbench.figures import UNKNOWN, few_runs, metric_text, seconds_text, unit
from gbench.metrics import is_percent

if TYPE_CHECKING:
    from rich.console import Console

_WRAPS = 14  # letters to which a column may be wrapped
_MEANING = (
    "The difference is ours minus the paper's, in brackets in standard errors of that difference. "
    "agrees: equivalence within the paper's own standard deviation (two one-sided t tests, 5 %); "
    "below, above: a two-sided t test tells the means apart; inconclusive: neither, more runs "
    f"would tell. The tests take {POOLING}. Time is that of all runs together."
)
_QUIRK = "† the paper's protocol selects on test data, or repeats an error of its code"

_WORTH = (
    "floor: the best of the audit's, ceiling: the best score of any function of what can be seen "
    "within each test part; = floor: t tests do not tell ours apart from it, worse than floor: "
    "they do; beyond 1-WL, say: better than any function of no more than that can be. "
    "gbench leaderboard tells each exactly."
)


class Column(NamedTuple):
    """What one column says of an experiment: every format reads the list below."""

    head: str
    text: Callable[[Reproduction], str]  # figures as papers print them, percentages where they do
    right: bool = True  # figures; what is set to the left is words
    priority: int = 0  # 0 is always there; of the others the highest drops first on a terminal
    wraps: bool = False
    colours: bool = False  # where the verdict is not "agrees"


def _paper(result: Reproduction) -> str:
    paper = result.published
    return UNKNOWN if paper is None else metric_text(result.metric, paper.mean, paper.std)


def _paper_runs(result: Reproduction) -> str:
    n = None if result.published is None else result.published.n
    return UNKNOWN if n is None else str(n)


def _difference(result: Reproduction) -> str:
    if result.published is None:
        return UNKNOWN
    scale, digits = (100, 2) if is_percent(result.metric) else (1, 4)
    text = f"{scale * result.difference:+.{digits}f}"
    said = result.verdict
    if said is not None and math.isfinite(said.standard_errors):
        text += f" ({said.standard_errors:+.1f})"
    return text


def _verdict(result: Reproduction) -> str:
    return UNKNOWN if result.verdict is None else result.verdict.word + few_runs(result.n)


def _limit(result: Reproduction, value: float) -> str:
    return "" if math.isnan(value) else metric_text(result.metric, value)


COLUMNS = (
    Column("experiment", lambda of: of.experiment + " †" * of.quirk, right=False, wraps=True),
    Column("metric", lambda of: of.metric + unit(of.metric), right=False, priority=4),
    Column("paper", _paper),
    Column("n", _paper_runs, priority=3),
    Column("ours", lambda of: metric_text(of.metric, *of.ours)),
    Column("n", lambda of: str(of.n), priority=2),
    Column("difference", _difference, priority=1),
    Column("verdict", _verdict, right=False, wraps=True, colours=True),
    Column("time", lambda of: seconds_text(of.seconds), priority=5),
)
# where some dataset was audited
WORTH = (
    Column("floor", lambda of: _limit(of, of.floor), priority=7),
    Column("ceiling", lambda of: _limit(of, of.ceiling), priority=6),
    Column("worth", lambda of: of.remark, right=False, priority=1, wraps=True),
)
_COLOURS = {"below": "red", "above": "cyan", "inconclusive": "yellow"}


def columns(results: Sequence[Reproduction]) -> list[Column]:
    """Those of every table, and of audited datasets what a score is worth there."""
    return [*COLUMNS, *(WORTH if any(result.worth for result in results) else ())]


def draw(results: Sequence[Reproduction], console: Console) -> None:
    """Print the table; a verdict that is not "agrees" is in colour."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not results:
        return
    shown = _fit(results, console.width)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), collapse_padding=True)
    for column in shown:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        overflow: Literal["fold", "ellipsis"] = "fold" if column.wraps else "ellipsis"
        table.add_column(column.head, justify=justify, no_wrap=not column.wraps, overflow=overflow)
    for result in results:
        colour = _COLOURS.get(result.verdict.word, "") if result.verdict else ""
        cells = (Text(column.text(result), colour * column.colours) for column in shown)
        table.add_row(*cells)
    console.print(table)
    hidden = dict.fromkeys(column.head for column in columns(results) if column not in shown)
    if hidden:
        console.print(f"not shown at this width: {', '.join(hidden)}", style="dim")
    for note in _notes(results):
        console.print(note, style="dim")


def _fit(results: Sequence[Reproduction], width: int) -> list[Column]:
    """The columns that a terminal has room for, with a space on each side."""

    def needed(column: Column) -> int:
        widest = max(len(text) for text in (column.head, *map(column.text, results)))
        return 2 + (min(widest, _WRAPS) if column.wraps else widest)

    shown = columns(results)
    while sum(map(needed, shown)) > width:
        least = max(shown, key=lambda column: column.priority)
        if least.priority == 0:
            break
        shown.remove(least)
    return shown


def markdown(results: Sequence[Reproduction]) -> str:
    """A pipe table, what its words mean, and where the papers' figures stand."""
    shown = columns(results)
    rules = ["---:" if column.right else "---" for column in shown]
    rows = [[column.head for column in shown], rules, *(_cells(shown, of) for of in results)]
    notes = [*_notes(results), *_sources(results)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


def html(results: Sequence[Reproduction]) -> str:
    """The same as one page that needs no network, in the reader's light or dark colours."""

    def row(tag: str, texts: Sequence[str]) -> str:
        cells = (
            f"<{tag}{' class=r' if column.right else ''}>{escaping.escape(text)}</{tag}>"
            for column, text in zip(shown, texts, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    shown = columns(results)
    heads = [column.head for column in shown]
    body = "\n".join(row("td", _cells(shown, result)) for result in results)
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
<thead>{row("th", heads)}</thead>
<tbody>
{body}
</tbody></table></div>
<ul>{notes}</ul>
</html>
"""


def _cells(shown: Sequence[Column], result: Reproduction) -> list[str]:
    return [column.text(result) for column in shown]


def _notes(results: Sequence[Reproduction]) -> list[str]:
    lines = {f"{of.data}, {of.split} split, {of.metric}: {of.worth}" for of in results if of.worth}
    notes = [_MEANING, *([_QUIRK] if any(result.quirk for result in results) else [])]
    return [*notes, *([_WORTH] if lines else []), *sorted(lines)]


def _sources(results: Sequence[Reproduction]) -> list[str]:
    """Each source once, with the experiments that it is of."""
    by_source: dict[str, list[str]] = {}
    for result in results:
        if result.published is not None:
            by_source.setdefault(result.published.source, []).append(result.experiment)
    return [f"{source}: {', '.join(names)}" for source, names in sorted(by_source.items())]
