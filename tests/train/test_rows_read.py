"""Of one graph's nodes a model computes those answers that the loss or the metric reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gbench.build import build_task
from gbench.choices import stated
from gbench.config.compose import compose
from gbench.config.floors import networks
from gbench.data.batch import Batch
from gbench.kernels import CSR
from gbench.locate import locate
from gbench.train.losses import loss_at
from gbench.train.task import Task


def asked() -> list[str]:
    """Every packaged model of nodes that answers for the targets alone."""
    found, names = networks(), []
    for name in found:
        kind = locate(str(stated("model._target_", found, name)))
        levels = stated("model.levels", found, name) or ("node",)
        if "node" in levels and "answers_targets" in vars(kind):
            names.append(name)
    return names


def task_of(model: str, *words: str) -> tuple[Task, Batch]:
    """Its task in evaluation mode, and a batch with targets in no order, one of them twice."""
    no_draws = [f"model.{name}=0" for name in ("dropout", "input_dropout", "attention_dropout")]
    words = (f"model={model}", "data=csbm", "experiment=null", *words)
    known = compose(list(words))["model"]
    task = build_task(compose([*words, *(word for word in no_draws if word[6:-2] in known)]))
    targets = torch.tensor([31, 2, 2, 17, 0, 90])
    return task, task.dataset.store.whole().with_targets(targets)


def gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [*model.parameters()]))


def test_there_are_such_models() -> None:
    assert {"gcn", "sgc", "mlp"} <= {*asked()}


@pytest.mark.parametrize("words", [(), ("encoding=lappe",)], ids=["plain", "encoding"])
@pytest.mark.parametrize("model", asked())
def test_answers_and_gradients_of_the_targets_are_those_of_the_whole_graph(
    model: str, words: tuple[str, ...]
) -> None:
    task, batch = task_of(model, *words)
    task.double()
    store = task.dataset.store.whole()
    wide = {
        name: value.double()
        for name, value in vars(store).items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    for name, value in wide.items():
        setattr(store, name, value)
        setattr(batch, name, value)
    whole = task.model(store.with_targets(batch.targets))
    few = task.answer(batch)
    assert few.shape == (6, whole.size(1))
    torch.testing.assert_close(few, whole[batch.targets])
    found = gradients(task.model, task.loss(few, batch))
    wanted = loss_at(task.dataset.card, whole, batch.y, batch.targets)
    for ours, theirs in zip(found, gradients(task.model, wanted), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("model", asked())
def test_no_layer_computes_answers_for_all_nodes(model: str) -> None:
    task, batch = task_of(model)
    near = batch.graph.edge_index
    near = near[:, (near < 95).all(0)]  # so that no number of hops reaches all nodes
    batch.graph, _ = CSR.from_edge_index(near, batch.num_nodes)
    seen: list[tuple[int, ...]] = []

    def keep(module: nn.Module, given: Any, made: Any) -> None:
        if isinstance(made, Tensor):
            seen.append(tuple(made.shape))

    for part in task.model.modules():
        part.register_forward_hook(keep)
    outputs = task.dataset.spec.num_outputs
    for mode in (True, False):
        task.model.train(mode)
        seen.clear()
        task.answer(batch)
        assert (6, outputs) in seen
        assert (batch.num_nodes, outputs) not in seen


def test_a_model_of_ones_own_that_inherits_answers_for_all_nodes() -> None:
    task, batch = task_of("gcn")

    class Own(type(task.model)):  # type: ignore[misc]
        def forward(self, batch: Batch) -> Tensor:
            out: Tensor = super().forward(batch)
            assert out.size(0) == batch.num_nodes
            return out

    task.model.__class__ = Own
    again = Task(task.model, task.dataset, task.optim, task.source, seed=0, limit=0)
    assert again.answer(batch).size(0) == batch.num_nodes
