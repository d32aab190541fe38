"""What a model computes once from the training data, before the first epoch: its method `fit`.

    def fit(self, train):
        x = torch.cat([batch.x for batch in train.batches()])
        self.centre.copy_(x.mean(0))

It runs in one process, and not again where a run is resumed or evaluated: what it learns has to lie
in parameters and buffers that `__init__` made, which the checkpoint holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.data.source import Split
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.train.own_loss import hidden
from gbench.train.own_method import own_method, place
from gbench.train.scopes import Shadow
from gbench.train.sources import Batched, Source, WholeGraph

_NOT_STATE = {"_parameters", "_buffers", "_modules", "training"}


@dataclass(frozen=True, eq=False)
class TrainingPart:
    """What `fit` is given: the training graphs, or the graph with labels of its training nodes.

    No label of validation or test is in it: those of other nodes, graphs and pairs are -100 or NaN,
    and of links it has the training links alone.
    """

    dataset: Dataset
    source: Batched

    @staticmethod
    def of(dataset: Dataset, source: Source) -> TrainingPart:
        """The training part of a dataset."""
        if not isinstance(source, Batched) or isinstance(source, Shadow):
            source = WholeGraph()  # a graph that is big, and cut for training, is seen whole
        return TrainingPart(shown_alone(dataset), source)

    @property
    def spec(self) -> DataSpec:
        """What the model was built from."""
        return self.dataset.spec

    def batches(self, size: int = 512) -> Iterator[Batch]:
        """The training graphs, so many at a time; or the one graph, its targets the training nodes.

        Of links it is the graph with the training links as `pairs`.
        """
        yield from self.source.evaluation(self.dataset, self.dataset.split.train, size)

    def batch(self) -> Batch:
        """All of it in one batch."""
        return next(self.batches(max(1, self.dataset.split.train.numel())))


def shown_alone(dataset: Dataset) -> Dataset:
    """The dataset with its training items alone: labels of others, and other pairs, are not there.

    Labels of other nodes and graphs are -100 or NaN.
    """
    store, train = dataset.store, dataset.split.train
    if dataset.spec.level == "link":
        assert store.pairs is not None
        store = replace(store, pairs=store.pairs[train], y=store.y[train], memo={})
        train = torch.arange(train.numel())
    else:
        store = replace(store, y=hidden(store.y, train), memo={})
    none = train.new_zeros(0)
    return replace(dataset, store=store, split=Split(train, none, none))


def fit(model: nn.Module, dataset: Dataset, source: Source) -> None:
    """Call the model's method `fit`, where it has one, in evaluation mode and without gradients.

    Random numbers that it draws are the same in every run of one seed, and change no later ones.
    Raises UserError where what it leaves behind would not be in a checkpoint.
    """
    method = own_method(model, "fit", "train")
    if method is None:
        return
    before, attributes = shapes(model), _attributes(model)
    was_training = model.training
    model.eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        method(TrainingPart.of(dataset, source))
    model.train(was_training)
    after = shapes(model)
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if changed:
        raise UserError(
            f"{place(method)}: {changed[0]} is {_told(after, changed[0])} after it and was "
            f"{_told(before, changed[0])}: make it in __init__, of the shape that it has in the "
            "end, and fill it with copy_(), so that a checkpoint can be read again"
        )
    now = _attributes(model)
    for name, value in now.items():
        if name not in attributes or attributes[name] is not value:
            raise UserError(
                f"{place(method)} sets {name}, which is neither parameter nor buffer: resume and "
                "eval would not have it. Make it a buffer in __init__, and fill that here"
            )


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Of all that a checkpoint holds."""
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def _told(shapes: dict[str, tuple[int, ...]], name: str) -> str:
    return f"of shape {shapes[name]}" if name in shapes else "not there"


def _attributes(model: nn.Module) -> dict[str, Any]:
    """Plain attributes of the model and of its parts, which no checkpoint holds, by name."""
    return {
        f"{name}.{key}".lstrip("."): value
        for name, part in model.named_modules()
        for key, value in vars(part).items()
        if key not in _NOT_STATE
    }
