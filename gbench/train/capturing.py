"""Which runs are captured (`trainer.cuda_graphs`), and why others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gbench.errors import UserError
from gbench.losses import find
from gbench.models.answers import called
from gbench.train.cuda_graph import Work, captured
from gbench.train.labelled_graphs import LabelledGraphs
from gbench.train.rates import reads_tensors
from gbench.train.scopes import Shadow
from gbench.train.sources import Graphs, Pairs, Parts

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from gbench.train.task import Task

Recorder = Callable[[Work, Iterable[Tensor]], Work]

PRECISIONS = ("32-true", "bf16-mixed")


def wanted(settings: Mapping[str, Any]) -> str:
    """auto, on or off; a YAML file's bare `on` and `off` are true and false."""
    value = settings.get("cuda_graphs", "auto")  # older configs do not say
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def recorder(device: torch.device) -> Recorder | None:
    """What makes one launch of work that is given with all that it changes; None on a CPU."""
    return partial(captured, device=device) if device.type == "cuda" else None


def waits(model: nn.Module) -> str:
    """Why the model's steps wait for the GPU once its first epoch is over; empty if they do not.

    A model says so itself by `waits`, empty where what it derives from a batch is kept with the
    batch and its buffers are changed in place: of its own class, because one that inherits from
    it may do anything. One that says nothing is taken to wait.
    """
    said = vars(model).get("waits", vars(type(model)).get("waits"))
    if said is not None:
        return str(said)
    return f'{called(model)} does not say that its steps never wait for the GPU (waits = "")'


def refusal(task: Task, trainer: Trainer) -> str:
    """Why this run's steps are launched one by one; empty if they can be captured."""
    model, card, source = task.model, task.dataset.card, task.source
    loss = find(card.loss, card.loss_labels)
    reasons: Mapping[str, bool] = {
        f"{task.device.type} has no CUDA graphs": recorder(task.device) is None,
        "several devices wait for each other in each step": trainer.world_size > 1,
        "parts of a graph are cut on the CPU, each of its own size": isinstance(
            source, Parts | Shadow
        ),
        "batches of links are drawn on the CPU": isinstance(source, Pairs),
        "graphs whose nodes have labels are batches of many sizes": (
            isinstance(source, LabelledGraphs)
        ),
        waits(model): bool(waits(model)),
        **(_unframed(task) if isinstance(source, Graphs) else {}),
        f"{loss.name} is a function of your own, which may wait": loss.is_own,
        "signs of the positional encoding are drawn on the CPU": bool(task.dataset.random_signs),
        f"trainer.precision={trainer.precision}: only {' and '.join(PRECISIONS)} are": (
            str(trainer.precision) not in PRECISIONS
        ),
        "trainer.detect_anomaly looks at each gradient": torch.is_anomaly_enabled(),
        "of optimizers only fused adam and adamw read their learning rate on the GPU": (
            not reads_tensors(trainer.optimizers[0])
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _unframed(task: Task) -> Mapping[str, bool]:
    """What forbids to lay batches in frames (gbench/data/padding.py), with whether it is so."""
    card, model = task.dataset.card, task.model
    loss = find(card.loss, card.loss_labels)
    said = vars(model).get("fills_frames", vars(type(model)).get("fills_frames", False))
    return {
        "trainer.accumulate_grad_batches has steps of several kinds": task.accumulate > 1,
        "patches are cut on the CPU, each of its own size": task.dataset.patcher is not None,
        "each batch of graphs has another number of pairs of nodes": task.dataset.spec.pair_dim > 0,
        "bags are cut from each batch, each of its own size": task.dataset.bagging is not None,
        f"{called(model)} does not say that it leaves out what fills a batch (fills_frames = True; "
        "batch.valid tells what counts)": not said,
        f"loss {loss.name} takes its mean over all graphs of a batch": (
            loss.labels == "classes" and loss.name != "cross-entropy"
        ),
    }


def told(reason: str) -> UserError:
    """The error for `trainer.cuda_graphs=on` where it cannot be."""
    return UserError(
        f"trainer.cuda_graphs=on: this run cannot be captured: {reason}. "
        "trainer.cuda_graphs=auto captures what can be, off nothing"
    )
