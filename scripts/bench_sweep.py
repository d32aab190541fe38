"""What a point of a sweep costs beyond its training: its process, from fork to the next one's.

A sweep of many short runs, less a sweep of one, is held against the same runs one after another in
one process that has everything imported and warm. All with one job, as wall and as processor time.

    python scripts/bench_sweep.py [--points 100] [--epochs 3]

With an older commit's folder beside it: the wall time of whole sweeps, first word to last, of both
by turns, each round in the other order; medians.

    python scripts/bench_sweep.py --against FOLDER [--rounds 3] [--only sgc]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

GBENCH = str(Path(sys.executable).parent / "gbench")
SWEEPS = {
    "sgc": ["model=sgc", "data=cora", "seeds=100"],
    "gcn": ["model=gcn", "data=cora", "seeds=100"],
    "od-nsd": ["model=od-nsd", "data=texas", "folds=all"],
}
HERE = Path(__file__).resolve().parents[1]
IN_ONE_PROCESS = """
import sys, time
from pathlib import Path
from statistics import median
import torch
from rich.console import Console
from gbench.quiet import silence
from gbench.training import train
from gbench.sweep.points import compose_all, run_folder
silence()
torch.set_num_threads(1)
configs = compose_all(sys.argv[1:])
train(configs[0], run_folder(configs[0]), Console(quiet=True))
started, spent = time.perf_counter(), time.process_time()
for config in configs[1:]:
    train(config, run_folder(config), Console(quiet=True))
n = len(configs) - 1
print((time.perf_counter() - started) / n, (time.process_time() - spent) / n)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--against", type=Path, help="the folder of an older commit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=SWEEPS, help="one of the three sweeps")
    args = parser.parse_args()
    if args.against is not None:
        for name in [args.only] if args.only else SWEEPS:
            compare(SWEEPS[name], args.against.resolve(), args.rounds)
        return
    settings = ["model=gcn", "data=csbm", f"trainer.max_epochs={args.epochs}", "trainer=cpu"]
    with tempfile.TemporaryDirectory() as name:

        def seconds(points: int, place: str) -> tuple[float, float]:
            words = [*settings, f"seeds={points}", "jobs=1", f"runs_dir={name}/{place}"]
            started, spent = time.perf_counter(), children_seconds()
            subprocess.run([GBENCH, "train", *words], check=True, capture_output=True)
            return time.perf_counter() - started, children_seconds() - spent

        os.environ["OMP_NUM_THREADS"] = "1"
        seconds(1, "warm")  # compiles what is compiled once
        one, many = seconds(1, "one"), seconds(args.points, "many")
        swept = [(b - a) / (args.points - 1) for a, b in zip(one, many, strict=True)]
        words = [*settings, f"seeds={args.points}", f"runs_dir={name}/alone"]
        answer = subprocess.run(
            [sys.executable, "-c", IN_ONE_PROCESS, *words], check=True, capture_output=True
        )
        alone = [float(word) for word in answer.stdout.split()]
    for title, sweep, run in zip(("wall", "processor"), swept, alone, strict=True):
        more = sweep - run
        print(f"{title:9}  a point {sweep:.3f} s, a run alone {run:.3f} s: {more:.3f} s more")


def compare(words: list[str], older: Path, rounds: int) -> None:
    """Print what a sweep takes with each, and their ratio."""
    spent: dict[Path, list[float]] = {older: [], HERE: []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            for root in (older, HERE) if turn % 2 == 0 else (HERE, older):
                place = Path(folder, f"{turn}-{'now' if root is HERE else 'older'}")
                command = [sys.executable, "-m", "gbench", "train", *words, f"runs_dir={place}"]
                started = time.perf_counter()
                subprocess.run(
                    command,
                    check=True,
                    capture_output=True,
                    cwd=folder,  # not in a checkout, whose gbench would be found first
                    env={**os.environ, "PYTHONPATH": str(root)},
                )
                spent[root].append(time.perf_counter() - started)
    before, now = median(spent[older]), median(spent[HERE])
    ratios = [a / b for a, b in zip(spent[older], spent[HERE], strict=True)]
    told = f"{before:.1f} s, now {now:.1f} s: {before / now:.2f}x"
    print(f"{' '.join(words)}: {told} ({min(ratios):.2f} to {max(ratios):.2f})")


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
