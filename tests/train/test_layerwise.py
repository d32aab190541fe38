"""Layer-wise evaluation in chunks of nodes: what the whole graph in one batch gives, exactly."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from gbench.build import build_task
from gbench.choices import choices
from gbench.config.compose import compose
from gbench.data.big.part import Part, Pattern, batch_of
from gbench.data.source import Graph
from gbench.data.store import pack
from gbench.errors import UserError
from gbench.train import layerwise
from gbench.train.layerwise import layer_wise, predict, through_layers
from gbench.train.task import Task

# Models that are evaluated on whole graphs alone; any other has `embed` and `steps`.
WHOLE = {
    "graph-mlp-mixer": "for graphs",
    "graph-vit": "for graphs",
    "gcn-vn": "for graphs",
    "gin-vn": "for graphs",
    "mp-gnn": "for graphs of patches, whose nodes are few",
    "cont-nsd": "its solver looks over all nodes at each step",
    "diag-nsd": "its maps are of pairs of nodes and change with each layer",
    "od-nsd": "as diag-nsd",
    "gen-nsd": "as diag-nsd",
    "sheaf-network": "its graph is made undirected as a whole",
}
NAMES = [name for name in choices("model") if name not in WHOLE]
MODELS = {
    **{name: [f"model={name}"] for name in NAMES},
    "gcn": ["model=gcn", "model.num_layers=3", "model.norm=batch", "model.bias=true"],
    "gcn-1": ["model=gcn", "model.num_layers=1"],
    "gin": ["model=gin", "model.hidden_dim=8", "model.num_layers=3"],
    "gin-layerwise": ["model=gin", "model.hidden_dim=8", "model.jk=layerwise"],
    "sgc": ["model=sgc", "model.hops=3"],
    "sgc-0": ["model=sgc", "model.hops=0"],
    "dagnn": ["model=dagnn", "model.hops=3", "model.norm=batch"],
    "dagnn-0": ["model=dagnn", "model.hops=0"],
    "gat": ["model=gat", "model.num_output_heads=2"],
    "mlp": ["model=mlp", "model.norm=batch"],
}


def task_of(*words: str) -> Task:
    task = build_task(compose(["data=csbm", "data.num_nodes=200", *words]))
    generator = torch.Generator().manual_seed(0)
    for name, value in [*task.model.named_parameters(), *task.model.named_buffers()]:
        if value.is_floating_point():  # running statistics as well, so that batch norm matters
            noise = torch.rand(value.shape, generator=generator)
            value.data = noise + 0.5 if name.endswith("var") else noise - 0.5
    task.model.double().eval()
    return task


@pytest.mark.parametrize("entries_at_once", [1, 100, 1 << 20])
@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_chunks_give_what_the_whole_graph_gives(name, entries_at_once, monkeypatch):
    monkeypatch.setattr(layerwise, "ENTRIES_AT_ONCE", entries_at_once)
    task = task_of(*MODELS[name])
    store = replace(task.dataset.store, x=task.dataset.store.x.double(), memo={})
    ids = torch.randperm(200)[:60]
    expected = task.model(store.whole())[ids]
    got = predict(task.model, store, Pattern(store), ids, torch.device("cpu"))
    assert got.dtype == torch.float64 and expected.std() > 0
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_directions_and_encodings_are_followed(name, monkeypatch):
    monkeypatch.setattr(layerwise, "ENTRIES_AT_ONCE", 50)
    task = task_of(*MODELS[name], "encoding=rwse", "encoding.steps=3")
    edge_index = torch.randint(200, (2, 900)).unique(dim=1)
    graph = Graph(torch.randn(200, 100), edge_index, torch.zeros(200, dtype=torch.int64))
    store = pack([graph], "node")
    store = replace(store, x=store.x.double(), pe=torch.rand(200, 3, dtype=torch.float64))
    everyone = torch.arange(200)
    got = predict(task.model, store, Pattern(store), everyone, torch.device("cpu"))
    torch.testing.assert_close(got, task.model(store.whole()), rtol=1e-10, atol=1e-10)


def test_no_nodes_have_no_outputs():
    """As of a process that gets none of a very small split."""
    task = task_of("model=gcn")
    store = replace(task.dataset.store, x=task.dataset.store.x.double(), memo={})
    nobody = torch.empty(0, dtype=torch.int64)
    got = predict(task.model, store, Pattern(store), nobody, torch.device("cpu"))
    assert got.shape == (0, 2)


def test_no_chunk_has_more_entries_than_allowed(monkeypatch):
    monkeypatch.setattr(layerwise, "ENTRIES_AT_ONCE", 100)
    pattern = Pattern(task_of("model=gcn").dataset.store)
    rows = torch.randperm(200)
    chunks = list(layerwise._chunks(pattern, rows))
    assert torch.equal(torch.cat(chunks), rows)
    degree = pattern.rowptr.diff()
    sizes = [int(degree[chunk].sum()) + chunk.numel() for chunk in chunks]
    assert max(sizes) <= 100 and len(chunks) <= sum(sizes) / 100 * 1.3


@pytest.mark.parametrize("name", ["gcn", "gin", "gin-layerwise", "dagnn"])
def test_training_through_the_layers_draws_and_computes_what_forward_does(name):
    """Dropout and batch norm included, on a part that is the whole graph."""
    task = task_of(*MODELS[name])
    store = replace(task.dataset.store, x=task.dataset.store.x.double(), memo={})
    graph, reach = store.whole().graph, len(task.model.steps())
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


@pytest.mark.parametrize("name", WHOLE)
def test_the_others_have_no_steps(name):
    """So that none is left out here that could be in."""
    try:
        model = task_of(f"model={name}").model
    except UserError as error:
        assert "-level" in str(error)
    else:
        assert not hasattr(model, "steps")


def test_a_model_without_the_two_methods_is_refused():
    with pytest.raises(UserError, match=r"model mine cannot .* parts .*batching=full"):
        layer_wise(torch.nn.Linear(2, 2), "mine")
