"""A model as a run would build it, and the small data on which its contracts are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import seed_everything
from torch import Tensor, nn

from gbench.build import build_model, build_source, described
from gbench.config.compose import Config
from gbench.contracts.contract import BrokenError
from gbench.contracts.part import graph_of
from gbench.contracts.pieces import Piece, batch_of
from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.data.patches.patch_set import Patching
from gbench.data.spec import DataSpec
from gbench.locate import locate
from gbench.models.needs import reads
from gbench.train.fitting import fit
from gbench.train.task import Task

STEPS, RATE = 2, 0.02  # of training, after which nothing is zero that was so at first
# rtol and atol; a model that hard-codes float32 somewhere is compared in that. An adaptive solver
# chooses its steps by all that it is given, which shows in the seventh digit.
NEAR = {torch.float64: (1e-6, 1e-6), torch.float32: (1e-3, 1e-4)}


@dataclass(frozen=True, eq=False)
class Subject:
    """A model's config and a dataset so small that everything is computed many times."""

    config: Config
    dataset: Dataset

    @cached_property
    def pieces(self) -> list[Piece]:
        """The graphs, each node in one of 1,000 parts that patches are made from."""
        generator, store = torch.Generator().manual_seed(3), self.dataset.store
        made = []
        for index, (start, _, size, _) in enumerate(store.ranges.t().tolist()):
            pe = None if store.pe is None else store.pe[start : start + size]
            part = torch.randint(1000, (size,), generator=generator)
            pairs = None
            if store.pair_values is not None:
                first, last = store.first_pair[index : index + 2].tolist()
                pairs = store.pair_values[first:last].view(size, size, -1)
            made.append(Piece(graph_of(store, index), pe, part, pairs))
        return made

    @property
    def is_node_level(self) -> bool:
        return self.dataset.spec.level == "node"

    def build(self, seed: int = 0) -> Task:
        """The model with its initial weights, in the task that trains it."""
        seed_everything(seed, verbose=False)
        dataset = self.dataset
        if "teacher" in getattr(locate(self.config["model"]["_target_"]), "needs", ()):
            spec = replace(dataset.spec, teacher_dim=dataset.spec.num_outputs)
            store = replace(dataset.store, teacher=told_by(dataset.store.x, spec), memo={})
            dataset = replace(dataset, spec=spec, store=store)
        dataset = described(dataset, self.config["model"])
        model = build_model(self.config["model"], dataset.spec)
        whole = {**self.config, "batching": {"name": "full"}}
        source = build_source(whole, dataset, model, Path())
        fit(model, dataset, source)
        return Task(model, dataset, self.config["optim"], source, seed=seed, limit=0)

    def trained(self) -> Task:
        """The model after two steps of Adam, always the same."""
        task = self.build()
        self.train(task, self.pieces)
        return task

    def train(self, task: Task, pieces: Sequence[Piece], steps: int = STEPS) -> list[Tensor]:
        """The loss of each step."""
        optimizer = torch.optim.Adam(task.model.parameters(), lr=RATE)
        task.train()
        losses = []
        for step in range(steps):
            seed_everything(step, verbose=False)
            optimizer.zero_grad()
            loss = task.training_step(self.training_batch(task, pieces), 0)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return losses

    def training_batch(self, task: Task, pieces: Sequence[Piece]) -> Batch:
        """Of one graph the whole with the training nodes as targets, else the training graphs."""
        ids = self.dataset.split.train
        if self.is_node_level:
            return replace(self.batch(task.model, pieces, torch.float32), targets=ids)
        return self.batch(task.model, [pieces[index] for index in ids.tolist()], torch.float32)

    def batch(
        self, model: nn.Module, pieces: Sequence[Piece], dtype: torch.dtype, **more: Any
    ) -> Batch:
        """The pieces as this model gets them."""
        patching: Patching | None = getattr(model, "patching", None)
        batch = batch_of(pieces, self.dataset.spec.level, dtype, patching, **more)
        if self.is_node_level and reads(model, "teacher"):
            batch.teacher = told_by(batch.x, self.dataset.spec)
        return batch

    @cached_property
    def dtype(self) -> torch.dtype:
        """float64, or float32 where the model computes in nothing else."""
        try:
            self.answers(self._model, self.pieces, torch.float64)
        except RuntimeError as error:
            if "dtype" not in str(error) and "ouble" not in str(error):
                raise
            return torch.float32
        return torch.float64

    @cached_property
    def _model(self) -> nn.Module:
        return self.trained().model.eval()

    def model(self) -> nn.Module:
        """The trained model in evaluation mode, in the precision of `dtype`: not to be changed."""
        return self._model.to(self.dtype)

    def answers(
        self, model: nn.Module, pieces: Sequence[Piece], dtype: torch.dtype | None = None
    ) -> Tensor:
        """What a model in evaluation mode says of the pieces, side by side."""
        dtype = dtype or self.dtype
        return self.answers_to(model.to(dtype).eval(), self.batch(model, pieces, dtype))

    def answers_to(self, model: nn.Module, batch: Batch) -> Tensor:
        """What a model says of a batch, whatever random numbers were drawn before."""
        seed_everything(7, verbose=False)
        with torch.no_grad():
            answer: Tensor = model(batch)
        return answer

    def same(self, one: Tensor, other: Tensor, what: str) -> None:
        """Raise BrokenError where two answers differ by more than rounding does."""
        if one.shape != other.shape:
            raise BrokenError(f"{what}: shape {tuple(other.shape)} instead of {tuple(one.shape)}")
        rtol, atol = NEAR[self.dtype]
        if not torch.allclose(one, other, rtol=rtol, atol=atol):
            raise BrokenError(f"{what} {changed_by(one, other)}")


def told_by(x: Tensor, spec: DataSpec) -> Tensor:
    """Made-up answers of a teacher, for each node by its features. Shapes: x (N, F) → (N, C)."""
    by = torch.arange(spec.num_outputs, dtype=torch.float32, device=x.device)
    return (x.float().mean(1, keepdim=True) * by).log_softmax(1)


def changed_by(one: Tensor, other: Tensor) -> str:
    """By how much answers differ, beside how large they are."""
    largest = (one - other).abs().max().item()
    return f"by up to {largest:.2g}, where answers reach {one.abs().max().item():.2g}"


def same_bits(one: Tensor, other: Tensor, what: str) -> None:
    """Raise BrokenError where two tensors are not equal to the last bit."""
    if one.shape != other.shape or not torch.equal(one, other):
        detail = changed_by(one, other) if one.shape == other.shape else ""
        raise BrokenError(f"{what} {detail}".rstrip())
