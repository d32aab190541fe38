"""Conduct workers: read what they tell, start another where one ended too early, show the table.

This process touches no GPU, so that nothing which happens there can end it.
"""

from __future__ import annotations

import argparse
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from gbench.bench.gpu import table

Row = dict[str, Any]
LAST = ("finished", "uncaptured", "lost")  # events after which a worker ends
SILENCE = 600.0  # seconds without a word after which a worker is ended


def main(doc: str, script: Path, argv: Sequence[str] | None = None) -> int:
    """Run the check; with --worker, one worker of it."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--op", default="", help="only what begins so")
    parser.add_argument("--rounds", type=int, default=21, help="times that calls take turns")
    parser.add_argument("--quick", action="store_true", help="nothing large, 5 rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--worker", metavar="JSON", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker is not None:
        from gbench.bench.gpu.worker import work

        return work(args, json.loads(args.worker))
    words = ["--op", args.op, "--rounds", str(args.rounds), "--device", args.device]
    command = [sys.executable, str(script), *words, *(["--quick"] if args.quick else [])]
    out = args.json.open("w") if args.json else sys.stdout
    try:
        rows, facts = conduct(command, out, SILENCE)
    finally:
        if args.json:
            out.close()
    print(table.text(rows, facts), flush=True)
    return 1 if any(row["status"] in ("wrong", "failed") for row in rows) else 0


def conduct(command: Sequence[str], out: IO[str], silence: float) -> tuple[list[Row], Row]:
    """The rows of all workers, each written to `out` at once, and what the first said of itself."""
    rows: list[Row] = []
    facts: Row = {}
    done: list[str] = []  # items that need not be run again
    uncaptured: list[str] = []  # calls that are not to be captured again
    known: set[tuple[str, str]] = set()  # of an item that is run again, the rows that it gave

    def add(item: str, row: Row) -> None:
        if (item, row.get("direction", "")) not in known:
            known.add((item, row.get("direction", "")))
            rows.append(row)
            print(json.dumps(row), file=out, flush=True)

    while True:
        told = json.dumps({"done": done, "uncaptured": uncaptured})
        item = ""
        for event in _events([*command, "--worker", told], silence):
            kind = event.pop("event")
            if kind == "facts":
                facts = facts or event
            elif kind == "begin":
                item = event["item"]
            elif kind == "row":
                add(item, event)
            elif kind == "end":
                done.append(item)
            elif kind == "uncaptured":  # the item is run again
                uncaptured.append(event["name"])
            elif kind == "ended":
                row = {"kind": "item", "op": item or "start", "status": "failed", **event}
                add(item, row)
                done.append(item)
            if kind == "finished" or (kind == "ended" and not item):
                return rows, facts


def _events(command: Sequence[str], silence: float) -> Iterator[Row]:
    """What a worker tells; the last is `finished`, `uncaptured`, `lost`, or `ended` by itself."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, lines))
    reader.start()
    kind, note = "", ""
    try:
        while line := lines.get(timeout=silence if kind else SILENCE):
            event = json.loads(line)
            kind = event["event"]
            yield event
    except queue.Empty:
        note = f"no word for {silence:.0f} seconds"
    finally:
        process.kill()
        code = process.wait()
        reader.join()
        process.stdout.close()
    if kind not in LAST:
        yield {"event": "ended", "note": note or f"the process ended with code {code}"}


def _read(pipe: IO[str], lines: queue.SimpleQueue[str]) -> None:
    """Every line, and "" at the end."""
    for line in pipe:
        lines.put(line)
    lines.put("")
