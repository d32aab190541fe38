"""Layers one after another, in chunks; tests/contracts compares their answers with forward's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from gbench.build import build_task
from gbench.choices import stated
from gbench.config.compose import compose
from gbench.config.floors import networks
from gbench.contracts.contract import exemptions
from gbench.data.big.part import Part, Pattern, batch_of
from gbench.errors import UserError
from gbench.locate import locate
from gbench.train import layerwise
from gbench.train.layerwise import layer_wise, predict, through_layers
from gbench.train.task import Task

MODELS = networks()
NODE_LEVEL = [  # but for those that a finished run has to teach
    name
    for name in MODELS
    if "node" in stated("model.levels", MODELS, name)
    and "teacher" not in getattr(locate(stated("model._target_", MODELS, name)), "needs", ())
]
LAYERWISE = ["model=gin", "model.jk=layerwise"]


def task_of(*words: str) -> Task:
    task = build_task(compose(["data=csbm", "data.num_nodes=200", *words]))
    generator = torch.Generator().manual_seed(0)
    for name, value in [*task.model.named_parameters(), *task.model.named_buffers()]:
        if value.is_floating_point():  # running statistics as well, so that batch norm matters
            noise = torch.rand(value.shape, generator=generator)
            value.data = noise + 0.5 if name.endswith("var") else noise - 0.5
    task.model.double().eval()
    return task


def test_no_nodes_have_no_outputs():
    """As of a process that gets none of a very small split."""
    task = task_of("model=gcn")
    store = replace(task.dataset.store, x=task.dataset.store.x.double(), memo={})
    nobody = torch.empty(0, dtype=torch.int64)
    got = predict(task.model, store, Pattern(store), nobody, torch.device("cpu"))
    assert got.shape == (0, 2)


def test_no_chunk_has_more_entries_than_allowed():
    pattern = Pattern(task_of("model=gcn").dataset.store)
    rows = torch.randperm(200)
    chunks = list(layerwise._chunks(pattern, rows, 100))
    assert torch.equal(torch.cat(chunks), rows)
    degree = pattern.rowptr.diff()
    sizes = [int(degree[chunk].sum()) + chunk.numel() for chunk in chunks]
    assert max(sizes) <= 100 and len(chunks) <= sum(sizes) / 100 * 1.3


@pytest.mark.parametrize("words", [*([f"model={name}"] for name in NODE_LEVEL), LAYERWISE])
def test_training_through_the_layers_draws_and_computes_what_forward_does(words):
    """Dropout and batch norm included, on a part that is the whole graph."""
    task = task_of(*words)
    if "layer-wise" in exemptions(task.model):
        return  # it has no steps, and says why: see tests/contracts
    store = replace(task.dataset.store, x=task.dataset.store.x.double(), memo={})
    graph, reach = store.whole().graph, max(1, len(task.model.steps()))
    nodes = torch.arange(200)
    batch = batch_of(store, Part((graph,) * reach, nodes.int(), nodes))
    task.model.train()
    outputs = []
    for compute in (partial(through_layers, task.model, batch), partial(task.model, store.whole())):
        torch.manual_seed(3)
        outputs.append(compute())
    torch.testing.assert_close(*outputs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("words", [("model=gcn",), ("model=mlp", "batching.fan_outs=[1]")])
def test_training_in_parts_is_evaluated_on_the_whole_graph(words):
    """The metric of a run in parts is that of the same weights on the whole graph."""
    parts = task_of(*words, "batching=neighbours")
    whole = task_of(words[0])
    for task in (parts, whole):
        task.model.float()
    assert parts.evaluate("test") == whole.evaluate("test")


def test_a_limit_of_batches_holds_for_the_evaluation_of_a_run_in_parts(monkeypatch):
    monkeypatch.setattr("gbench.train.task.EVALUATION_BATCH", 10)
    parts = task_of("model=gcn", "batching=neighbours", "trainer.limit_batches=3")
    whole = task_of("model=gcn")
    for task in (parts, whole):
        task.model.float()
    (logits, y), (all_logits, all_y) = (task.answers("test") for task in (parts, whole))
    assert len(y) == 30 < len(all_y)
    assert torch.equal(y, all_y[:30])
    torch.testing.assert_close(logits, all_logits[:30])


def test_a_model_without_the_two_methods_is_refused():
    with pytest.raises(UserError, match=r"model mine cannot .* parts .*batching=full"):
        layer_wise(torch.nn.Linear(2, 2), "mine")
