"""Conduct workers: read what they tell, start another where one ended too early, show the table.

This process touches no GPU, so that nothing which happens there can end it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from gbench.bench.gpu import table

Row = dict[str, Any]
LAST = ("finished", "refused", "uncaptured", "lost")  # events after which a worker ends
START = 600.0  # seconds that a worker may take to import torch from a cold disk
SECTIONS = "stream, device, large, model"
LIMIT = {"cuda": 120.0, "cpu": 600.0}  # seconds without a word after which a worker is ended


def main(doc: str, script: Path, argv: Sequence[str] | None = None) -> int:
    """Run the check; with --worker, one worker of it."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--op", default="", help="only what begins so")
    parser.add_argument("--rounds", type=int, default=21, help="times that calls take turns")
    parser.add_argument("--quick", action="store_true", help="nothing large, 5 rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument(
        "--limit", type=float, metavar="SECONDS", help="end an item that says nothing for so long"
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--worker", metavar="JSON", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker is not None:
        from gbench.bench.gpu.worker import work

        return work(args, json.loads(args.worker))
    words = ["--op", args.op, "--rounds", str(args.rounds), "--device", args.device]
    command = [sys.executable, str(script), *words, *(["--quick"] if args.quick else [])]
    try:
        out = args.json.open("w") if args.json else sys.stdout
    except OSError as error:
        parser.error(f"rows cannot be written to {args.json}: {error.strerror}")
    signal.signal(signal.SIGTERM, _interrupt)
    rows: list[Row] = []
    facts: Row = {}
    ending = ""
    try:
        conduct(command, out, args.limit or LIMIT[args.device], rows, facts)
    except KeyboardInterrupt as interrupt:
        ending = f"Interrupted{interrupt}: what was not reached has no row."
    with contextlib.suppress(OSError):
        if args.json:
            out.close()
    print(table.text(rows, facts), flush=True)
    if not rows and not ending:
        ending = f"Nothing begins with {args.op!r}: no operation, and none of {SECTIONS}."
    if ending:
        print(ending, file=sys.stderr)
    return 1 if ending or any(row["status"] in ("wrong", "failed") for row in rows) else 0


def _interrupt(*_: object) -> None:
    """What ends this process early, as `timeout` does, leaves it time for the table."""
    raise KeyboardInterrupt


def conduct(
    command: Sequence[str], out: IO[str], limit: float, rows: list[Row], facts: Row
) -> None:
    """Fill `rows` with those of all workers, each written to `out` at once.

    `facts` gets what the first worker says of itself. Both hold what is known when this is
    interrupted.
    """
    done: list[str] = []  # items that need not be run again
    uncaptured: list[str] = []  # calls that are not to be captured again
    known: set[tuple[str, str]] = set()  # of an item that is run again, the rows that it gave

    def add(item: str, row: Row) -> None:
        if (item, row.get("direction", "")) not in known:
            known.add((item, row.get("direction", "")))
            rows.append(row)
            try:
                print(json.dumps(row), file=out, flush=True)
            except OSError as error:  # the table is still to come
                print(f"a row was not written: {error.strerror}", file=sys.stderr)

    while True:
        told = json.dumps({"done": done, "uncaptured": uncaptured})
        item = ""
        try:
            for event in _events([*command, "--worker", told], limit):
                kind = event.pop("event")
                if kind == "facts":
                    facts |= {} if facts else event
                elif kind == "begin":
                    item = event["item"]
                elif kind == "row":
                    add(item, event)
                elif kind == "end":
                    done.append(item)
                elif kind == "uncaptured":  # the item is run again
                    uncaptured.append(event["name"])
                elif kind in ("ended", "refused"):
                    row = {"kind": "item", "op": item or "start", "status": "failed", **event}
                    add(item, row)
                    done.append(item)
                if kind in ("finished", "refused") or (kind == "ended" and not item):
                    return
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f" in {item}" if item else "") from None


def _events(command: Sequence[str], limit: float) -> Iterator[Row]:
    """What a worker tells; the last is one of LAST, or `ended` where it ended by itself."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, lines))
    reader.start()
    kind, note = "", ""
    try:
        while line := lines.get(timeout=limit if kind else START):
            event = json.loads(line)
            kind = event["event"]
            yield event
    except queue.Empty:
        note = f"no word for {limit if kind else START:.0f} seconds"
    finally:
        process.kill()
        code = process.wait()
        reader.join()
        process.stdout.close()
    if kind not in LAST:
        yield {"event": "ended", "note": note or f"the process ended with code {code}"}


def _read(pipe: IO[str], lines: queue.SimpleQueue[str]) -> None:
    """Every whole line, and "" at the end: who is killed may leave half of one."""
    for line in pipe:
        if line.endswith("\n"):
            lines.put(line)
    lines.put("")
