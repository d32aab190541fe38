"""The one-screen summary at the end of a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.board.cells import paper_text
from gbench.board.published import published_by
from gbench.board.statistics import Spread
from gbench.figures import count_text, memory_text, metric_text, seconds_text, unit
from gbench.folders import near
from gbench.records.record import RunRecord

if TYPE_CHECKING:
    from rich.console import Console


def summarise(record: RunRecord, folder: Path, console: Console) -> None:
    """Print what the run reached, what it cost, where it lies and what to type next."""
    from rich.text import Text

    fold = f", fold {record.fold} of 0–{record.num_folds - 1}" if record.num_folds > 1 else ""
    chosen = {
        "best-validation": f"best validation epoch, {record.best_epoch} of {record.epochs}",
        "last-epoch": f"last epoch, {record.epochs}",
        "best-mean-epoch": (
            f"last epoch, {record.epochs}; the leaderboard takes the one that is best over "
            "all folds"
        ),
    }[record.selection]
    if record.is_floor:
        chosen = f"setting {_setting(record)}: best in validation of {record.epochs}"
    else:
        chosen = f"weights of the {chosen}"
    lines = [
        (
            f"test {record.metric}",
            metric_text(record.metric, record.test) + unit(record.metric),
            f"{record.split} split{fold}; {chosen}",
        ),
        (
            f"valid {record.metric}",
            metric_text(record.metric, record.valid) + unit(record.metric),
            "",
        ),
        *_published(record),
        *(
            (f"{part} {name}", metric_text(name, value) + unit(name), "")
            for name, parts in record.also.items()
            for part, value in sorted(parts.items())
        ),
        *_cost(record),
        ("peak memory", memory_text(record.peak_memory_mib), _peaks(record)),
        ("run", near(folder), ""),
        ("next", _next_command(record, folder), ""),
    ]
    label_width = max(len(label) for label, _, _ in lines)
    value_width = max(len(value) for _, value, note in lines if note)
    text = Text(f"{record.model} on {record.data}, seed {record.seed}\n", "bold")
    for label, value, note in lines:
        text.append(f"  {label:<{label_width}}  ", "dim")
        text.append(f"{value:<{value_width}}  " if note else value)
        text.append(f"{note}\n", "dim")
    console.print(text, end="", soft_wrap=True, highlight=False)


def _peaks(record: RunRecord) -> str:
    """The device, and the peak of each phase that is known."""
    known = {phase: mib for phase, mib in record.peak_memory_by_phase.items() if mib > 0}
    told = ", ".join(f"{phase} {memory_text(mib)}" for phase, mib in known.items())
    return f"{record.device}; {told}" if told else record.device


def _cost(record: RunRecord) -> list[tuple[str, str, str]]:
    """Parameters and seconds; a floor has none, and settings in place of epochs."""
    in_all = f"{seconds_text(record.seconds_total)} in all"
    if record.is_floor:  # nothing is counted in epochs
        each = f"{seconds_text(record.seconds_per_epoch)} for a setting"
        return [("time", in_all, f"no network; {each}")]
    speed = f"{count_text(record.items_per_second)} {record.item}/s in training"
    return [
        ("parameters", count_text(record.num_parameters), ""),
        ("time per epoch", seconds_text(record.seconds_per_epoch), f"{in_all}, {speed}"),
    ]


def _setting(record: RunRecord) -> str:
    return " ".join(f"{key}={value}" for key, value in record.chosen.items())


def _published(record: RunRecord) -> list[tuple[str, str, str]]:
    """What the paper prints, if the run has its setting unchanged."""
    paper = published_by(record.config.get("experiment") or "")
    if paper is None:
        return []
    printed = paper_text(paper, Spread(paper.mean, paper.std)) + unit(record.metric)
    return [("published", printed, paper.source)]


def _next_command(record: RunRecord, folder: Path) -> str:
    runs_dir = near(folder.parent)
    where = "" if runs_dir == "runs" else f" {shlex.quote(runs_dir)}"
    return f"gbench leaderboard{where} {shlex.quote(f'data={record.data}')}"
