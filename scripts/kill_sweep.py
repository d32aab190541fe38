"""Kill a sweep at random moments, finish it, and hold it against one that nothing disturbed.

Until enough SIGKILLs were given, a random one of the sweep's processes is killed: one that trains,
the fork server, or the sweep itself, which is then started again, at once or when all is quiet.
In the end the same command finishes the sweep. Exit code 0 if no point is lost, doubled, different
or half-written and nothing went on running without the sweep.

    python scripts/kill_sweep.py [--points 30] [--kills 20] [--seed 0]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

GBENCH = str(Path(sys.executable).parent / "gbench")
MARK = "GBENCH_KILL_SWEEP"  # in the environment of all processes of a sweep
LONGEST_PAUSE = 3.0  # seconds between two kills
ORPHAN_SECONDS = 30.0  # a point alone may finish its step, and is killed after ten
WHOLE = {".lock", "config.yaml", "metrics.csv", "best.ckpt", "record.json"}


class Sweep:
    """One sweep's command, and the processes that belong to it."""

    def __init__(self, folder: Path, points: int, epochs: int) -> None:
        self.runs = folder / "runs"
        self.environment = {**os.environ, MARK: str(folder), "OMP_NUM_THREADS": "1"}
        self.log = folder / "log.txt"
        settings = ["model=gcn", "data=csbm", f"trainer.max_epochs={epochs}", "trainer=cpu"]
        self.command = [GBENCH, "train", *settings, f"seeds={points}", "jobs=2"]
        self.command.append(f"runs_dir={self.runs}")

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)

    def finish(self) -> None:
        for _ in range(3):  # a kill may have used up the retries of a point
            if self.start().wait() == 0:
                return

    def processes(self) -> dict[int, int]:
        """The fork servers and the points, each with its parent."""
        found = {}
        mark = f"{MARK}={self.environment[MARK]}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError):
                if (
                    mark in (path / "environ").read_bytes().split(b"\0")
                    and b"fork_server.main" in (path / "cmdline").read_bytes()
                ):
                    status = (path / "stat").read_text().rpartition(")")[2].split()
                    if status[0] != "Z":
                        found[int(path.name)] = int(status[1])
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        undisturbed = Sweep(Path(name, "undisturbed"), args.points, args.epochs)
        disturbed = Sweep(Path(name, "disturbed"), args.points, args.epochs)
        for sweep in (undisturbed, disturbed):
            sweep.log.parent.mkdir()
        undisturbed.finish()
        kills, orphans, sweeps = disturb(disturbed, args.kills, random.Random(args.seed))
        disturbed.finish()
        left = wait_until_quiet(disturbed)
        faults = compare(undisturbed.runs, disturbed.runs, args.points)
        faults["doubled"] += trained_twice(disturbed.log)
    given = ", ".join(f"{count} of {kind}" for kind, count in sorted(kills.items()))
    print(f"{args.points} points, {sum(kills.values())} kills ({given}), {sweeps} sweeps begun")
    print(f"lost {faults['lost']}, doubled {faults['doubled']}, different {faults['different']}")
    print(f"half-written {faults['half-written']}, left running {orphans + left}")
    return int(any(faults.values()) or orphans + left > 0)


def disturb(sweep: Sweep, wanted: int, dice: random.Random) -> tuple[Counter[str], int, int]:
    """Kill so often, starting the sweep again whenever it is no more."""
    kills: Counter[str] = Counter()
    orphans, sweeps = 0, 1
    parent = sweep.start()
    while sum(kills.values()) < wanted:
        time.sleep(dice.uniform(0, LONGEST_PAUSE))
        if parent.poll() is None:
            kind = dice.choice(["a point", "a point", "the fork server", "the sweep"])
            processes = sweep.processes()
            servers = [pid for pid, of in processes.items() if of == parent.pid]
            points = [pid for pid in processes if pid not in servers]
            if not points and dice.random() < 0.8:
                continue  # nearly all of this would be kills of a server that imports torch
            aims = {"a point": points, "the fork server": servers, "the sweep": [parent.pid]}
            if aims[kind]:
                with suppress(ProcessLookupError):
                    os.kill(dice.choice(aims[kind]), signal.SIGKILL)
                    kills[kind] += 1
        if kills["the sweep"] and parent.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                parent.wait(0.1)
        if parent.poll() is not None and sum(kills.values()) < wanted:
            if dice.random() < 0.5:
                orphans += wait_until_quiet(sweep)
            parent = sweep.start()
            sweeps += 1
    parent.kill()
    parent.wait()
    orphans += wait_until_quiet(sweep)
    return kills, orphans, sweeps


def wait_until_quiet(sweep: Sweep) -> int:
    """How many processes of the sweep still run after some seconds without it."""
    end = time.monotonic() + ORPHAN_SECONDS
    while sweep.processes() and time.monotonic() < end:
        time.sleep(0.1)
    return len(sweep.processes())


def compare(expected: Path, found: Path, points: int) -> Counter[str]:
    faults: Counter[str] = Counter(lost=0, doubled=0, different=0)
    faults["half-written"] = 0
    wanted = results(expected)
    seeds = Counter(seed for seed, _, _ in results(found).values())
    assert len(wanted) == points, "the undisturbed sweep did not finish"
    faults["lost"] = points - len(seeds)
    faults["doubled"] = sum(count - 1 for count in seeds.values())
    for name, result in results(found).items():
        faults["different"] += result != wanted.get(name)
    for folder in found.iterdir():
        faults["half-written"] += {path.name for path in folder.iterdir()} != WHOLE
    return faults


def trained_twice(log: Path) -> int:
    """Points that the sweep's log says were finished more than once."""
    finished = re.findall(r"(seed \d+)  ✓ test", log.read_text(encoding="utf-8"))
    return len(finished) - len(set(finished))


def results(runs: Path) -> dict[str, tuple[int, tuple[float, ...], list[tuple[str, ...]]]]:
    """By folder: seed, what the record says was reached, and the curve, all but the times."""
    found = {}
    for path in runs.glob("*/record.json"):
        record = json.loads(path.read_text())
        reached = tuple(record[key] for key in ("test", "valid", "best_epoch", "epochs"))
        with (path.parent / "metrics.csv").open() as file:
            curve = [(row["step"], row["train_loss"], row["valid"]) for row in csv.DictReader(file)]
        found[path.parent.name] = (record["seed"], reached, curve)
    return found


if __name__ == "__main__":
    sys.exit(main())
