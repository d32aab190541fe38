"""Graph-MLPMixer with patches cut anew for every batch, beside the same with patches made before.

Both train the same model on the same batches. A ratio of 1 says that the cutting, which goes on in
processes of its own, is never waited for; below 1, what share of the time remains without it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import cycle, islice

import torch

from gbench.bench.train.pair import Comparison, Trained, check_same
from gbench.build import build_task
from gbench.config.compose import compose
from gbench.data.batch import Batch
from gbench.train.loader import TrainingBatches
from gbench.train.optimizer import make_optimizer
from gbench.train.task import Task

# ogbg-molhiv's molecules are a little larger than ZINC's: 25.5 and 23.2 atoms
WORDS = ("model=graph-mlp-mixer", "data=ogbg-molhiv", "experiment=null")
KEPT = 40  # batches whose patches are made before; both train on them in turn
STRETCH_SECONDS = 2.0  # both sides take turns with so much work at a time
TRAINED, QUICK = 100, 5  # steps before the test


class Steps:
    """Training steps of one model, and the seconds that they waited for batches."""

    def __init__(self, task: Task, batches: Iterator[Batch]) -> None:
        self.task, self.batches = task, batches
        self.optimizer = make_optimizer(task.model, task.optim, fused=True)
        self.waited = self.total = 0.0

    def take(self, count: int) -> float:
        """Make so many steps and return wall seconds per step: other processes work as well."""
        self.task.model.train()
        started = time.perf_counter()
        for _ in range(count):
            asked = time.perf_counter()
            batch = next(self.batches)
            self.waited += time.perf_counter() - asked
            self.optimizer.zero_grad()
            self.task.loss(self.task.model(batch), batch).backward()
            self.optimizer.step()
        seconds = time.perf_counter() - started
        self.total += seconds
        return seconds / count


class MixerPair:
    """Fresh patches, ours as it is, and precomputed ones."""

    other, unit = "patches made before", "step, wall time"

    def __init__(self) -> None:
        self.config = compose([*WORDS])
        self.kept = [*islice(self._fresh(build_task(self.config)), KEPT)]
        self.sides = self._sides()
        first, again = next(self.sides[0].batches), self.kept[0]
        model = self.sides[0].task.model.eval()
        with torch.no_grad():
            check_same(model(first), model(again))
        seconds = [side.take(2) for side in self.sides]
        self.count = max(2, round(STRETCH_SECONDS / min(seconds)))

    def _sides(self) -> tuple[Steps, Steps]:
        tasks = build_task(self.config), build_task(self.config)
        return Steps(tasks[0], self._fresh(tasks[0])), Steps(tasks[1], cycle(self.kept))

    def _fresh(self, task: Task) -> Iterator[Batch]:
        """The training batches, their patches cut ahead while the model trains."""
        done = 0
        batches = TrainingBatches(
            task.dataset,
            task.source,
            seed=self.config["seed"],
            limit=0,
            rank=0,
            world_size=1,
            next_epoch=lambda: done // batches.batches_per_epoch,
            max_epochs=self.config["trainer"]["max_epochs"],
        )
        while True:
            for batch in batches:
                assert isinstance(batch, Batch)
                yield batch
                done += 1

    def by_turns(self) -> tuple[float, float]:
        """Seconds per step, fresh patches first."""
        fresh, before = (side.take(self.count) for side in self.sides)
        return fresh, before

    def finished(self, is_quick: bool) -> Trained:
        """The test metric of both after a few steps, and how long fresh patches were waited for."""
        steps = QUICK if is_quick else TRAINED
        share = self.sides[0].waited / self.sides[0].total
        sides = self._sides()
        for side in sides:
            side.take(steps)
        fresh, before = (side.task.evaluate("test") for side in sides)
        metric = sides[0].task.dataset.card.metric
        return Trained(
            fresh, before, metric, f"{steps} steps; waiting: {100 * share:.1f} % of ours"
        )


PAIRS = {"mixer-molhiv": Comparison("ogbg-molhiv", MixerPair)}
