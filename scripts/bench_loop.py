"""What the training loop costs above a plain PyTorch loop of the same epochs, on Cora.

Both arms train and validate the same model in every epoch; they take turns in one process.
    GBENCH_DATA=FOLDER python scripts/bench_loop.py [--model gcn] [--epochs 200] [--rounds 7]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console

from gbench.bench.train.ours import Clock
from gbench.build import build_task
from gbench.config.compose import Config, compose
from gbench.quiet import silence
from gbench.train.epochs import Epochs
from gbench.train.loggers import make_loggers
from gbench.train.metrics import accuracy
from gbench.train.rounds import Rounds
from gbench.train.task import Task
from gbench.train.trainer import make_trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gcn")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    silence()
    config = compose([f"model={args.model}", "data=cora", f"trainer.max_epochs={args.epochs}"])
    arms: dict[str, list[float]] = {"plain": [], "gbench": []}
    for _ in range(args.rounds):
        arms["plain"].append(plain(build_task(config), args.epochs))
        arms["gbench"].append(gbench(build_task(config), config))
    for name, seconds in arms.items():
        milliseconds = sorted(1000 * value for value in seconds)
        print(f"{name:7} {median(milliseconds):7.3f} ms per epoch (from {milliseconds[0]:.3f})")
    above = [1000 * (b - a) for a, b in zip(arms["plain"], arms["gbench"], strict=True)]
    print(f"above   {median(above):7.3f} ms per epoch, median of {args.rounds} pairs")


def plain(task: Task, epochs: int) -> float:
    """Seconds per epoch of a loop with nothing in it but the work."""
    optim: Any = task.optim
    model, dataset = task.model, task.dataset
    adam = torch.optim.Adam(model.parameters(), lr=optim["lr"], fused=True)
    batch = dataset.store.whole()
    train, valid = dataset.split.train, dataset.split.valid
    for_train, for_valid = batch.with_targets(train), batch.with_targets(valid)
    started = time.perf_counter()
    for _ in range(epochs):
        model.train()
        adam.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(for_train)[train], batch.y[train])
        loss.backward()
        adam.step()
        loss.item()
        model.eval()
        with torch.no_grad():
            accuracy(model(for_valid)[valid], batch.y[valid])
    return (time.perf_counter() - started) / epochs


def gbench(task: Task, config: Config) -> float:
    """Seconds per epoch of the same through gbench: Lightning, display, curve, checkpoints."""
    with tempfile.TemporaryDirectory() as folder:
        display = Clock(Console(stderr=True, quiet=True), "", task.dataset.card, 10**9)
        last = Path(folder) / "last.ckpt"
        epochs = Epochs(config, task.dataset.card, last_checkpoint=last, display=display)
        loggers = make_loggers(config, Path(folder))
        callbacks = [epochs, Rounds(epochs, config["trainer"])]
        trainer = make_trainer(config["trainer"], callbacks, loggers)
        trainer.fit(task)
    return display.seconds_per_epoch


if __name__ == "__main__":
    main()
