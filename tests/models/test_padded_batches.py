"""Every model that says so answers for a batch in a frame as for the batch alone, and learns so."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gbench.config.compose import compose
from gbench.config.floors import networks
from gbench.contracts import tiny
from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.data.padding import Frame, Size
from gbench.data.spec import DataCard
from gbench.data.store import GraphStore
from gbench.train.losses import loss_of
from tests.models.conftest import packaged

CARD = DataCard.from_config(compose(["data=csl", "experiment=null"])["data"])
SIZE = Size(nodes=96, entries=300, graphs=8, fan=6)
CHUNKS = ([0, 1, 2, 4, 5, 7, 3], [8, 6, 10])  # the second is the last of an epoch, which is smaller


def data(kind: str) -> Dataset:
    dataset = tiny.graphs(CARD, are_molecules=kind != "dense")
    if kind == "numbers":
        y = torch.randn(dataset.store.num_graphs, 3)
        y[::3, 1] = torch.nan
        card = replace(CARD, loss="mse", metric="rmse", direction="min")
        dataset = replace(dataset, card=card, store=replace(dataset.store, y=y))
    return dataset


def learnt(model: nn.Module, card: DataCard, batches: list[Batch]) -> list[Tensor]:
    """Logits and losses of steps, the gradients, and the running statistics after them."""
    torch.manual_seed(7)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = []
    for batch in batches:
        optimizer.zero_grad()
        logits = model(replace(batch, memo={}))
        loss = loss_of(card, logits, batch.y)
        loss.backward()
        valid = batch.num_graphs if batch.valid is None else int(batch.valid.graphs)
        found += [logits[:valid].detach(), loss.detach()]
        found += [p.grad.clone() for p in model.parameters() if p.grad is not None]
        optimizer.step()
    return [*found, *(buffer.clone() for buffer in model.buffers())]


def changes_nothing(name: str, dataset: Dataset, *words: str) -> None:
    model = packaged(dataset.spec, f"model={name}", *words)
    if not getattr(model, "fills_frames", False):
        pytest.skip(f"{name} says nothing of frames")
    model = model.double()
    tensors = dataset.store.tensors().items()
    wide = {key: each.double() for key, each in tensors if each.is_floating_point()}
    store: GraphStore = replace(dataset.store, **wide)  # type: ignore[arg-type]
    batches = [store.batch(torch.tensor(chunk)) for chunk in CHUNKS]
    alone = learnt(copy.deepcopy(model), dataset.card, batches)

    frame = Frame(SIZE, batches[0])
    framed: list[Batch] = []
    for batch in batches:
        assert SIZE.holds(batch)
        frame.lay(batch)
        framed.append(copy.deepcopy(frame.batch))
    inside = learnt(copy.deepcopy(model), dataset.card, framed)
    for one, other in zip(alone, inside, strict=True):
        # n / (n - 1), by which a running variance grows, may be a float32
        torch.testing.assert_close(other, one, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", ["dense", "molecules", "numbers"])
@pytest.mark.parametrize("name", networks())
def test_a_frame_changes_nothing_that_is_learnt(name: str, kind: str) -> None:
    changes_nothing(name, data(kind))


@pytest.mark.parametrize("words", [("jk=layerwise", "readout=sum"), ("jk=last", "readout=max")])
def test_both_forms_of_gin(words: tuple[str, str]) -> None:
    changes_nothing("gin", data("molecules"), *(f"model.{word}" for word in words))
