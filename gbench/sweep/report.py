"""What stands below a sweep when it is over: its rows of the leaderboard, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gbench import folders
from gbench.board import tables as leaderboard
from gbench.board.audits import with_audits
from gbench.board.formats import terminal
from gbench.records.folder import ERROR

if TYPE_CHECKING:
    from rich.console import Console

    from gbench.sweep.queued import Outcome, Outcomes

SHOWN_FAILURES = 10


def report(outcomes: Outcomes, console: Console, as_json: bool) -> None:
    """Print mean ± std of each setting, the failures with their folders, and the next command.

    With `as_json` the records as well, to stdout.
    """
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    if records:
        console.print()
        kept = folders.cache_dir(records[0].config.get("cache_dir"))
        terminal.draw(with_audits(leaderboard.rows(records), kept), console)
        console.print()
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        console.print(f"{len(failed)} of {len(outcomes)} failed:", style="red")
        for outcome in failed[:SHOWN_FAILURES]:
            console.print(f"  {outcome.folder}: {outcome.error}", markup=False, soft_wrap=True)
        if len(failed) > SHOWN_FAILURES:
            console.print(f"  … and {len(failed) - SHOWN_FAILURES} more")
        console.print(f"  {ERROR} in a point's folder tells more.")
    unfinished = len(outcomes) - len(records)
    if outcomes.stopped_by:
        text = f"Stopped with {unfinished} of {len(outcomes)} left. The same command goes on."
        console.print(text, style="yellow")
    elif unfinished:
        console.print("The same command tries again what has not finished.")
    if records:
        console.print(f"  next  {next_command(outcomes)}", soft_wrap=True)
    if as_json:
        for record in records:
            print(record.to_json(), end="")


def next_command(outcomes: Sequence[Outcome]) -> str:
    """The leaderboard of the folders and datasets of this sweep."""
    runs_dirs = dict.fromkeys(outcome.folder.parent for outcome in outcomes)
    data = dict.fromkeys(outcome.record.data for outcome in outcomes if outcome.record is not None)
    named = [] if [*runs_dirs] == [Path("runs")] else [*map(str, runs_dirs)]
    return shlex.join(["gbench", "leaderboard", *named, f"data={','.join(data)}"])
