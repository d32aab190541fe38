"""What it gains that a training keeps the memory that its steps free: gbench/heap.py.

Steps of one training, by turns with glibc's thresholds as they come to be by themselves for arrays
of the size given and with those of a training: CPU time of one thread, ratios by turn, and the
pages that the system filled with zeros.
    GBENCH_DATA=FOLDER python scripts/bench_heap.py "experiment=gin-ogbg-molhiv" --mib 2
"""

from __future__ import annotations

import argparse
import resource
import time
from statistics import median

import torch
from torch import Tensor

from gbench import heap
from gbench.build import build_task
from gbench.config.compose import compose
from gbench.data.batch import Batch
from gbench.quiet import silence
from gbench.train.accumulation import Windows
from gbench.train.loader import TrainingBatches
from gbench.train.optimizer import make_optimizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", help="settings of a training, in one word")
    parser.add_argument("--mib", type=int, default=2, help="of the largest array of a step")
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=6)
    args = parser.parse_args()
    libc = heap.glibc()
    if libc is None:
        raise SystemExit("there is no glibc here")
    silence()
    torch.set_num_threads(1)
    task = build_task(compose([*args.case.split(), "trainer=cpu"]))
    task.windows, task.has_begun = Windows(1, args.batches), True
    optimizer = make_optimizer(task.model, task.optim, fused=True)
    batches = list(
        TrainingBatches(
            task.dataset,
            task.source,
            seed=0,
            limit=args.batches,
            rank=0,
            world_size=1,
            next_epoch=lambda: 0,
            max_epochs=1,
            is_asked=False,
        ).of_epoch(0)
    )

    def epoch() -> tuple[float, int]:
        """CPU seconds and pages."""
        began, pages = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for batch in batches:

            def closure(batch: Batch = batch) -> Tensor:
                optimizer.zero_grad()
                loss = task.training_step(batch, 0)
                loss.backward()
                return loss

            optimizer.step(closure)
        pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - pages
        return time.process_time() - began, pages

    task.model.train()
    arrays = args.mib << 20
    thresholds = {"given back": (arrays, 2 * arrays), "kept": (heap.LARGEST, heap.NEVER)}
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in thresholds}
    for turn in range(args.rounds):
        for name in [*thresholds] if turn % 2 else [*reversed(thresholds)]:
            mapped, trimmed = thresholds[name]
            libc.mallopt(heap.M_MMAP_THRESHOLD, mapped)
            libc.mallopt(heap.M_TRIM_THRESHOLD, trimmed)
            libc.malloc_trim(0)
            epoch()  # takes what is kept afterwards
            found[name].append(epoch())
    for name, turns in found.items():
        seconds, pages = (median(column) for column in zip(*turns, strict=True))
        print(f"{name:10} {1000 * seconds / args.batches:8.1f} ms a step, {pages:.0f} pages")
    ratios = [a / b for (a, _), (b, _) in zip(*found.values(), strict=True)]
    told = " ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
    print(f"given back / kept: {median(ratios):.2f} ({told})")


if __name__ == "__main__":
    main()
