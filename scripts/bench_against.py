"""Epochs of packaged models beside those of an older commit, whose files are unpacked to a folder.

Each case trains for real in two processes, one of each commit, that go on in turn for some epochs:
what the machine suffers meanwhile is suffered by both. A turn's figure is the median of its epochs,
CPU time on one thread and wall time on several, and so are the ratios that are shown, with their
95 % bootstrap intervals; `training` is the same without validation.
    GBENCH_DATA=FOLDER python scripts/bench_against.py aa31a18 [--only gin] [--threads 2]
    GBENCH_DATA=FOLDER python scripts/bench_against.py aa31a18 --case "model=gin data=mutag"
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]
CASES = [
    *(f"experiment={model}-cora" for model in ("gcn", "sgc", "dagnn", "gat")),
    "model=mlp data=cora",
    *(f"experiment={model}-texas" for model in ("diag-nsd", "od-nsd", "gen-nsd")),
    *(f"model={model} data=texas" for model in ("cont-nsd", "sheaf-network")),
    "experiment=gin-mutag",
    *(
        f"experiment={model}-ogbg-molhiv trainer.limit_batches=16"
        for model in ("gin", "gin-vn", "gcn", "gcn-vn", "graph-mlp-mixer", "graph-vit", "mp-gnn")
    ),
    "experiment=gin-ogbg-molhiv optim.batch_size=512 trainer.limit_batches=4",
    "experiment=gin-ogbg-molhiv trainer.precision=bf16-mixed trainer.limit_batches=16",
]
ENDLESS = [
    "trainer=cpu",
    "trainer.max_epochs=1000000",
    "trainer.stop=patience",
    "trainer.patience=1000000",
]
WARM_EPOCHS = 3
TURN_SECONDS = 0.5
TOLD = ("model", "optim")  # the parts of a config in which both have to agree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", help="the older commit")
    parser.add_argument("--case", action="append", help="settings of a training, in one word")
    parser.add_argument("--only", default="", help="the cases in whose settings this stands")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        old = unpacked(args.commit, Path(name) / "old")
        clock = "CPU time, 1 thread" if args.threads == 1 else f"wall time, {args.threads} threads"
        print(f"ms per epoch ({clock}): {args.commit}, now, ratio (its 95 % interval), training's")
        for case in args.case or [case for case in CASES if args.only in case]:
            compare(case, [old, ROOT], Path(name), args.threads, args.rounds)


def unpacked(commit: str, folder: Path) -> Path:
    files = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(files)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def compare(case: str, sources: list[Path], place: Path, threads: int, rounds: int) -> None:
    """One line of the table; a case that a commit does not know is told."""
    from gbench.bench import measure

    arms = [Arm(source, case, place, threads) for source in sources]
    try:
        configs = [arm.answer() for arm in arms]
        for key in sorted(set(configs[0]) & set(configs[1])):
            if configs[0][key] != configs[1][key]:
                print(f"  {case}: {key} was {configs[0][key]}, is {configs[1][key]}")
        warm = [arm.answer() for arm in arms]
        turns: list[list[tuple[float, float]]] = [[], []]
        for turn in range(rounds):
            for which in (0, 1) if turn % 2 else (1, 0):
                seconds = median(epoch for epoch, _ in warm[which][1:])
                epochs = arms[which].turn(max(1, round(TURN_SECONDS / seconds)))
                turns[which].append(tuple(median(column) for column in zip(*epochs, strict=True)))
        olds, news = ([list(column) for column in zip(*arm, strict=True)] for arm in turns)
        whole, training = (measure.ratio(a, b) for a, b in zip(olds, news, strict=True))
        print(
            f"{case:72} {1000 * median(olds[0]):9.2f} {1000 * median(news[0]):9.2f}  "
            f"{whole.middle:5.2f} ({whole.low:.2f} to {whole.high:.2f})  {training.middle:5.2f}",
            flush=True,
        )
    except EOFError:
        print(f"{case:72} {' / '.join(arm.complaint() or 'runs' for arm in arms)}", flush=True)
    finally:
        for arm in arms:
            arm.process.kill()
            arm.process.wait()


class Arm:
    """The process of one commit: it trains when it is told to."""

    def __init__(self, source: Path, case: str, place: Path, threads: int) -> None:
        self.printed = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--arm", str(threads), *case.split(), *ENDLESS],
            cwd=place,
            env=os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.printed,
            text=True,
        )

    def answer(self) -> Any:
        """The next line; raises EOFError when the process has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError
        return json.loads(line)

    def turn(self, epochs: int) -> list[tuple[float, float]]:
        """Seconds of each of so many epochs: the whole, and training alone."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{epochs}\n")
        self.process.stdin.flush()
        answer: list[tuple[float, float]] = self.answer()
        return answer

    def complaint(self) -> str:
        if self.process.poll() is None:
            return ""
        self.printed.seek(0)
        return self.printed.read().decode().strip().rpartition("\n")[2]


def keep_to_own_modules() -> None:
    """Let this process import the files of PYTHONPATH alone.

    An editable installation would lend today's modules to a commit that has none of their names.
    """
    sys.meta_path[:] = [each for each in sys.meta_path if "Editable" not in str(each)]


def has_moved() -> bool:
    """Whether gbench's config is a folder, as it is today."""
    return hasattr(import_module("gbench.config"), "__path__")


def composed(settings: list[str]) -> Any:
    """The config of some words, by whichever module of this commit composes it."""
    name = "gbench.config.compose" if has_moved() else "gbench.config"
    return import_module(name).compose(settings)


def train_by_turns(threads: int, settings: list[str]) -> NoReturn:
    """What an arm does: an endless training that waits for its turn between two epochs."""
    keep_to_own_modules()
    import torch
    from rich.console import Console

    from gbench.quiet import silence
    from gbench.train import progress

    train = import_module("gbench.training" if has_moved() else "gbench.run").train

    torch.set_num_threads(threads)
    silence()
    clock = time.process_time if threads == 1 else time.perf_counter
    config = composed(settings)
    told = {f"{part}.{key}": value for part in TOLD for key, value in config[part].items()}
    print(json.dumps(told), flush=True)
    left, began, epochs = WARM_EPOCHS, clock(), []
    shown = progress.Display.epoch

    def epoch(display: Any, row: dict[str, float], *best: Any) -> None:
        nonlocal left, began, epochs
        shown(display, row, *best)
        seconds = clock() - began
        epochs.append((seconds, seconds * row["train_seconds"] / row["seconds"]))
        left -= 1
        if not left:
            print(json.dumps(epochs), flush=True)
            left, epochs = int(sys.stdin.readline()), []
        began = clock()

    progress.Display.epoch = epoch
    with tempfile.TemporaryDirectory(dir=".") as folder:
        train(config, Path(folder) / "run", Console(quiet=True))
    raise SystemExit("the training ended")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--arm"]:
        train_by_turns(int(sys.argv[2]), sys.argv[3:])
    main()
