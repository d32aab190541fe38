"""What the data have and a model does not read, told before it trains.

A model says in the class attribute `uses` what it reads of a batch beyond features, categories,
encoding and graph; its modules may say it for it, as `EdgeEncoder` does. A model of the user's own
that says nothing is watched while it answers once, as a copy in evaluation mode.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn

from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.models.link_predictor import LinkPredictor
from gbench.models.needs import FIELDS, reads
from gbench.train.sources import Batched, Source

NAMES = ("edge_weight", "edge_attr", "x_numbers", "pairs")


def unread(model: nn.Module, name: str, dataset: Dataset, source: Source) -> list[str]:
    """What the user should know: no sentence where the model reads all that there is, and no more.

    Of a model that looks along edges and against them (`directed`) it is told where that is the
    same, of one that makes self-loops anew (`loops_anew`) that those of the data go.
    """
    return [
        *_unread(model, name, dataset, source),
        *_same_both_ways(model, name, dataset),
        *_loops_anew(model, name, dataset),
    ]


def _loops_anew(model: nn.Module, name: str, dataset: Dataset) -> list[str]:
    has_numbers = dataset.spec.edge_dim > 0 or dataset.spec.has_edge_weight
    makes = any(getattr(part, "loops_anew", False) for part in model.modules())
    count = dataset.store.num_loops if makes and has_numbers else 0
    if not count:
        return []
    return [
        f"model {name} gives each node a self-loop with the mean of what its in-coming edges have: "
        f"weights and features of {dataset.card.name}'s own {count:,} self-loops are not used"
    ]


def _same_both_ways(model: nn.Module, name: str, dataset: Dataset) -> list[str]:
    looks_both_ways = any(getattr(part, "directed", False) for part in model.modules())
    if dataset.spec.is_directed or not looks_both_ways:
        return []
    return [
        f"model {name} looks along edges and against them, and each edge of {dataset.card.name} "
        f"has its reverse (data.split={dataset.card.split}): both ways it sees the same nodes"
    ]


def _unread(model: nn.Module, name: str, dataset: Dataset, source: Source) -> list[str]:
    has = [key for key in NAMES if getattr(dataset.spec, FIELDS[key].of_spec)]
    left = [key for key in has if not reads(model, key)]
    own = type(model.encoder if isinstance(model, LinkPredictor) else model)
    if left and not hasattr(own, "uses") and not own.__module__.startswith("gbench."):
        read = _read(model, dataset, source)
        left = [key for key in left if key not in read]
    return told(left, name, dataset)


def told(left: Sequence[str], name: str, dataset: Dataset) -> list[str]:
    """The sentence on fields of the batch that a model leaves unread; none where it leaves none."""
    if not left:
        return []
    listed = " and ".join(f"{FIELDS[key].what} (batch.{key})" for key in left)
    return [
        f"model {name} does not use the {listed} of {dataset.card.name}: it answers as if the data "
        "had none"
    ]


def _read(model: nn.Module, dataset: Dataset, source: Source) -> set[str]:
    """Which of `NAMES` a model asks a batch for; all where it cannot answer, as training will say.

    Nor of parts of a graph, which are not answered by batches.

    No random number is drawn that training would draw, and the model stays as it is.
    """
    if not isinstance(source, Batched):
        return {*NAMES}
    found: set[str] = set()

    class Watched(Batch):
        def __getattribute__(self, name: str) -> Any:
            # dataclasses.replace asks for every field
            if name in NAMES and sys._getframe(1).f_globals.get("__name__") != "dataclasses":
                found.add(name)
            return super().__getattribute__(name)

    with _same_random_numbers(), torch.no_grad():
        try:
            copy = deepcopy(model).eval()
            batch = next(source.evaluation(dataset, dataset.split.train[:2], 2))
            watched = object.__new__(Watched)
            vars(watched).update(vars(batch) | {"memo": {}})
            copy(watched)
        except Exception:
            return {*NAMES}
    return found


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Draw within, and leave all generators as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        yield
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
