"""Kill a sweep where it hurts, finish it, and hold it against one that nothing disturbed.

The points train a model (doomed/) that counts what happens in them: each step, each file opened,
renamed or removed. The undisturbed sweep tells how much that is; the kills are spread over it, so
that no clock decides when one comes. Each is a SIGKILL: of the point that the count falls in, of
its fork server, or of the sweep, which is then started again, at once or when all is quiet, until
its points have ended. Exit code 0 if kills were given, no point is lost, doubled, different or
half-written and nothing went on running without the sweep.

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
from typing import Any

GBENCH = str(Path(sys.executable).parent / "gbench")
DOOMED = Path(__file__).parent / "doomed"
MARK = "GBENCH_KILL_SWEEP"  # in the environment of all processes of a sweep
KINDS = ["a point", "the fork server", "the sweep", "a point"]
MOST_CALLS = 1000  # a checkpoint is written in several hundred
PATIENCE = 60.0  # seconds until a process that nobody wants is called left over


class Sweep:
    """One sweep's command, and the processes that belong to it."""

    def __init__(self, folder: Path, points: int, epochs: int, plan: list[Any]) -> None:
        folder.mkdir()
        (folder / "plan.json").write_text(json.dumps(plan))
        self.folder, self.runs, self.log = folder, folder / "runs", folder / "log.txt"
        self.environment = {**os.environ, MARK: str(folder), "OMP_NUM_THREADS": "1"}
        settings = ["model=doomed", "data=csbm", "data.num_nodes=200", "trainer=cpu"]
        settings += [f"trainer.max_epochs={epochs}", f"seeds={points}", "jobs=2"]
        self.command = [GBENCH, "train", "--config-dir", str(DOOMED), *settings]
        self.command.append(f"runs_dir={self.runs}")

    def run(self) -> int:
        """Until the command ends; its exit code."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)
            (self.folder / "sweep").write_text(str(process.pid))
            return process.wait()

    def events(self) -> int:
        return (self.folder / "events").stat().st_size

    def kills(self) -> Counter[str]:
        path = self.folder / "kills"
        return Counter(path.read_text().splitlines() if path.exists() else ())

    def processes(self) -> list[int]:
        """The fork servers and the points that run."""
        found = []
        mark = f"{MARK}={self.environment[MARK]}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (
                    mark in (path / "environ").read_bytes().split(b"\0")
                    and b"fork_server.main" in (path / "cmdline").read_bytes()
                    and (path / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                ):
                    found.append(int(path.name))
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        undisturbed = Sweep(Path(name, "undisturbed"), args.points, args.epochs, [])
        assert undisturbed.run() == 0, undisturbed.log.read_text(encoding="utf-8")
        dice = random.Random(args.seed)
        plan = kills_to_give(args.kills, undisturbed.events(), dice)
        disturbed = Sweep(Path(name, "disturbed"), args.points, args.epochs, plan)
        sweeps, orphans = disturb(disturbed, dice)
        faults = compare(undisturbed.runs, disturbed.runs)
        faults["doubled"] += trained_twice(disturbed.log)
        faults["left running"] = orphans
        kills = disturbed.kills()
        if any(faults.values()):
            print(disturbed.log.read_text(encoding="utf-8"), file=sys.stderr)
    given = ", ".join(f"{count} of {kind}" for kind, count in sorted(kills.items()))
    print(f"{args.points} points, {kills.total()} kills ({given}), {sweeps} sweeps begun")
    print(", ".join(f"{kind} {count}" for kind, count in faults.items()))
    return int(any(faults.values()) or not kills)


def kills_to_give(number: int, events: int, dice: random.Random) -> list[tuple[int, int, str]]:
    """After so many events, and so many calls of the point's then; what to kill."""
    kinds = [kind for _ in range(number) for kind in dice.sample(KINDS, len(KINDS))]
    moments = sorted(dice.sample(range(1, events), number))
    return [
        (moment, dice.randrange(MOST_CALLS), kind)
        for moment, kind in zip(moments, kinds, strict=False)
    ]


def disturb(sweep: Sweep, dice: random.Random) -> tuple[int, int]:
    """Start the sweep until its points have ended; how often, and how many ran on without it."""
    orphans = sweeps = fruitless = 0
    while fruitless < 2:  # a kill may have used up the retries of a point
        sweeps += 1
        before = sweep.kills()
        if (code := sweep.run()) == 0:
            break
        fruitless += sweep.kills() == before
        if code != -signal.SIGKILL or dice.random() < 0.5:
            orphans += wait_until_quiet(sweep)
    return sweeps, orphans + wait_until_quiet(sweep)


def wait_until_quiet(sweep: Sweep) -> int:
    """How many processes of the sweep are there to stay, without it."""
    end = time.monotonic() + PATIENCE
    while sweep.processes() and time.monotonic() < end:
        time.sleep(0.05)
    return len(sweep.processes())


def compare(expected: Path, found: Path) -> Counter[str]:
    """Of the points of the disturbed sweep, those that are not as the undisturbed left them."""
    faults: Counter[str] = Counter({"lost": 0, "doubled": 0, "different": 0, "half-written": 0})
    wanted, got = results(expected), results(found)
    seeds = Counter(result[0] for result in got.values())
    faults["lost"] = len(wanted) - len(seeds)
    faults["doubled"] = sum(count - 1 for count in seeds.values())
    for name, result in got.items():
        faults["different"] += result != wanted.get(name)
    for folder in found.iterdir():
        there = {path.name for path in folder.iterdir()}
        whole = {path.name for path in expected.glob(f"{folder.name}/*")}
        faults["half-written"] += there != whole
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
