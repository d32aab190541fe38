"""List the runs below runs/ and what became of them; tag, archive and delete them.

gbench runs                          all of them: finished, running, interrupted, failed or damaged
gbench runs FOLDER                   those of another folder than runs/; or --runs, runs_dir=
gbench runs state=failed data=cora   only some; model= and tag= choose as well, NAME,NAME is either
gbench runs tag RUN... WORD          untag takes the word away again
gbench runs archive RUN...           to runs/archived/, which no table counts; restore undoes it
gbench runs delete RUN...            for good; asks first, unless --yes is given

RUN is a run's folder or (the start of) its name; where it stands, filters choose runs too:
gbench runs delete state=failed. No run is moved or deleted while it is being trained.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gbench.cli.arguments import add_runs
from gbench.cli.screen import agreed
from gbench.errors import UserError, unknown

if TYPE_CHECKING:
    from gbench.records.inventory import Entry

SUMMARY = "list, tag, archive and delete runs"
ACTIONS = ("tag", "untag", "archive", "restore", "delete")
FILTERS = ("data", "model", "state", "tag")
_NAMED_IN_QUESTION = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar=f"{'|'.join(ACTIONS)} RUN... | FILTER=NAME")
    add_runs(parser)
    parser.add_argument("--archived", action="store_true", help="list what was archived")
    parser.add_argument("--json", action="store_true", help="print the list to stdout as JSON")
    parser.add_argument("--yes", action="store_true", help="delete without asking")


def run(args: argparse.Namespace) -> int:
    from gbench.records.find import ARCHIVED

    if args.words and Path(args.words[0]).is_dir() and args.words[0] not in ACTIONS:
        args.runs_dir = Path(args.words.pop(0))
    if not args.runs_dir.is_dir():
        raise UserError(f"{args.runs_dir} is no folder: gbench train makes it, or --runs DIR")
    action, *words = args.words or ["list"]
    aside = args.archived or action == "restore"
    runs_dir = args.runs_dir / ARCHIVED if aside else args.runs_dir
    if action not in ACTIONS:
        for word in args.words:
            if "=" not in word:
                raise unknown("action", word, ACTIONS, "Or filters: data=cora state=failed")
        _list(_chosen(args.words, runs_dir), args.json)
        return 0
    if action in ("tag", "untag"):
        return _tag(action, words, runs_dir)
    found = _chosen_to(action, words, runs_dir)
    if action == "delete" and not args.yes and not agreed(_question(found)):
        print("nothing deleted")
        return 0
    from gbench.records import archive

    move = {"archive": archive.archive, "restore": archive.restore, "delete": archive.delete}
    for entry in found:
        now = move[action](entry.folder)
        print(f"{entry.folder} {f'→ {now}' if now else 'deleted'}")
    return 0


def _tag(action: str, words: Sequence[str], runs_dir: Path) -> int:
    from gbench.records import tags

    if len(words) < 2:
        raise UserError(f"gbench runs {action} RUN... WORD: which runs, and which word?")
    *words, tag = words
    tags.checked(tag)
    for entry in _chosen_to(action, words, runs_dir):
        have = {*tags.read(entry.folder)}
        if action == "untag" and tag not in have:
            raise unknown("tag", tag, have, f"{entry.folder.name} has no such one")
        tags.write(entry.folder, have | {tag} if action == "tag" else have - {tag})
        print(f"{entry.folder} {' '.join(tags.read(entry.folder)) or 'without tags'}")
    return 0


def _chosen_to(action: str, words: Sequence[str], runs_dir: Path) -> list[Entry]:
    if not words:
        raise UserError(f"gbench runs {action} RUN...: which? gbench runs lists them")
    found = _chosen(words, runs_dir)
    if not found:
        raise UserError(f"gbench runs {action}: no run is {' '.join(words)}")
    return found


def _chosen(words: Sequence[str], runs_dir: Path) -> list[Entry]:
    """The runs that are named, or all, of these the ones that every filter names."""
    from gbench.records import folder as runfolder
    from gbench.records import inventory

    filters: dict[str, list[str]] = {}
    names = []
    for word in words:
        key, equals, values = word.partition("=")
        if not equals or "/" in key:
            names.append(word)
        elif key not in FILTERS:
            raise unknown("filter", key, FILTERS)
        else:
            filters.setdefault(key, []).extend(values.split(","))
    for state in filters.get("state", []):
        if state not in inventory.STATES:
            raise unknown("state", state, inventory.STATES)
    if names:
        folders = dict.fromkeys(runfolder.find(name, runs_dir) for name in names)
        found = [inventory.entry(folder) for folder in folders]
    else:
        found = inventory.entries(runs_dir)
    return [entry for entry in found if entry.matches(filters)]


def _question(found: Sequence[Entry]) -> str:
    more = len(found) - _NAMED_IN_QUESTION
    names = ", ".join(entry.folder.name for entry in found[:_NAMED_IN_QUESTION])
    what = f"{names} and {more} more" if more > 0 else names
    return f"Delete {what} for good?"


def _list(found: Sequence[Entry], as_json: bool) -> None:
    if as_json:
        print(json.dumps([_document(entry) for entry in found], indent=1, ensure_ascii=False))
        return
    rows = [("run", "state", "test", "epochs", "when", "tags"), *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells, note in zip(rows, ["", *(entry.note for entry in found)], strict=True):
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print(line.rstrip())
        for reason in note.splitlines()[:1]:
            print(f"    {reason if reason.isprintable() else ascii(reason)}")
    counts = Counter(entry.state for entry in found)
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    print(told or "no runs", file=sys.stderr)


def _row(entry: Entry) -> tuple[str, ...]:
    from gbench.figures import metric_text

    test = metric_text(entry.metric, entry.test) if entry.state == "finished" else ""
    when = entry.when.astimezone().strftime("%Y-%m-%d %H:%M")
    epochs = str(entry.epochs) if entry.epochs else ""
    return entry.folder.name, entry.state, test, epochs, when, " ".join(entry.tags)


def _document(entry: Entry) -> dict[str, object]:
    from gbench.records.record import finite

    return {
        "run": entry.folder.name,
        "folder": str(entry.folder),
        "state": entry.state,
        "data": entry.data,
        "model": entry.model,
        "seed": entry.seed,
        "metric": entry.metric,
        "test": finite(entry.test),
        "epochs": entry.epochs,
        "when": entry.when.isoformat(timespec="seconds"),
        "tags": entry.tags,
        "note": entry.note,
    }
