"""The other side of a comparison: a training loop as PyG's examples write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gbench.bench import measure
from gbench.data.dataset import Dataset
from gbench.train.optimizer import make_optimizer


class PlainLoop:
    """Full-batch training on one graph: a step, then a forward pass for the validation nodes.

    Stops after `patience` epochs without a better validation accuracy (0: never), and remembers
    the test accuracy of the best one.
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        optim: Mapping[str, Any],
        patience: int,
    ) -> None:
        batch = dataset.store.whole()
        self.model, self.y = model, batch.y
        self.batch, self.inputs = batch, (batch.x, batch.edge_index)
        self.train, self.valid, self.test = (
            _mask(ids, batch.num_nodes)
            for ids in (dataset.split.train, dataset.split.valid, dataset.split.test)
        )
        self.optimizer = make_optimizer(model, optim, fused=False)
        self.patience = patience
        self.epochs = self.best_epoch = 0
        self.best_valid = self.best_test = -1.0

    @property
    def is_over(self) -> bool:
        return 0 < self.patience <= self.epochs - self.best_epoch

    def advance(self, epochs: int) -> float:
        """Train for so many epochs, or until the patience ends, and return seconds per epoch."""
        clock, before = measure.cpu_clock(), self.epochs
        started = clock()
        while self.epochs - before < epochs and not self.is_over:
            self._epoch()
        return (clock() - started) / max(self.epochs - before, 1)

    def _epoch(self) -> None:
        self.model.train()
        self.optimizer.zero_grad()
        out = self.model(*self.inputs)
        loss = functional.cross_entropy(out[self.train], self.y[self.train])
        loss.backward()
        self.optimizer.step()
        float(loss.detach())
        self.epochs += 1
        self.model.eval()
        with torch.no_grad():
            right = self.model(*self.inputs).argmax(-1) == self.y
            valid = float(right[self.valid].float().mean())
            if valid > self.best_valid:
                self.best_valid, self.best_epoch = valid, self.epochs
                self.best_test = float(right[self.test].float().mean())


def _mask(ids: Tensor, size: int) -> Tensor:
    return torch.zeros(size, dtype=torch.bool).index_fill(0, ids, True)
