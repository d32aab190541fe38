"""Every encoding, generated dataset and way of batching of gbench/conf keeps its contracts."""

from __future__ import annotations

import pytest
import torch

from gbench.build import build_task
from gbench.choices import choices, read_yaml
from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.contracts.contract import outcomes
from gbench.contracts.encodings.every import CONTRACTS as OF_ENCODINGS
from gbench.contracts.encodings.subject import Encoding
from gbench.contracts.loaders.every import CONTRACTS as OF_LOADERS
from gbench.contracts.loaders.subject import Loader
from gbench.data.big.part import batch_of
from gbench.errors import UserError
from gbench.locate import locate
from gbench.train.sources import Parts, Share
from gbench.train.task import Task


def with_target(group: str) -> list[str]:
    return [name for name, path in choices(group).items() if "_target_" in read_yaml(path)]


def generated() -> list[str]:
    """The datasets that need no files of the network or of the user's."""
    found = {name: read_yaml(path) for name, path in choices("data").items()}
    return [
        name
        for name, yaml in found.items()
        if not (yaml.get("folder") or yaml.get("names") or "path" in yaml)
    ]


def test_the_eigenvectors_of_the_tiny_graphs_are_each_one_but_for_a_sign() -> None:
    """Of equal eigenvalues they would be any basis, and the order of nodes could choose it."""
    for graph in tiny.connected_and_not():
        size, (row, col) = graph.x.size(0), graph.edge_index
        adjacency = torch.zeros(size, size, dtype=torch.float64)
        adjacency[row, col] = adjacency[col, row] = 1
        degree = adjacency.sum(1)
        scale = degree.clamp(min=1).rsqrt()
        matrix = torch.diag((degree > 0).double()) - scale.unsqueeze(1) * adjacency * scale
        values = torch.linalg.eigvalsh(matrix)
        assert (values[values > 1e-9].diff() > 1e-4).all()


@pytest.mark.parametrize("name", with_target("encoding"))
def test_an_encoding_keeps_its_contracts(name: str) -> None:
    settings = {"name": name, **read_yaml(choices("encoding")[name])}
    encoding = Encoding(settings, locate(settings["_target_"]))
    for outcome in outcomes(OF_ENCODINGS, encoding, {}):
        assert outcome.verdict in ("holds", "not applicable"), outcome


@pytest.mark.parametrize("name", generated())
def test_a_generated_dataset_keeps_its_contracts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for another process, which tests/cli/test_check_data.py starts."""
    monkeypatch.setattr(Loader, "fingerprint_elsewhere", lambda self: self.dataset.fingerprint)
    try:
        config = compose(["model=gin", f"data={name}"])
    except UserError as error:
        assert "-level" in str(error)
        config = compose(["model=gcn", f"data={name}"])
    for outcome in outcomes(OF_LOADERS, Loader.of(config), {}):
        assert outcome.verdict in ("holds", "not applicable"), outcome


def of_graphs_of_its_own(task: Task) -> None:
    """The same of a source that gives each training node a graph: see tests/data/test_scopes.py."""
    train, y = task.dataset.split.train, task.dataset.store.y
    share = Share(0, task.source.num_batches(train.numel(), 0, 1), 0, 1, 2)
    epoch = task.source.training(task.dataset, share)
    seen = []
    for batch in epoch(0):
        assert batch.targets is not None
        hidden = torch.ones(batch.y.numel(), dtype=torch.bool)
        hidden[batch.targets] = False
        assert (batch.y[hidden] == -1).all()
        seen.append(batch.y[batch.targets])
    assert torch.equal(torch.cat(seen).bincount(), y[train].bincount())


@pytest.mark.parametrize("name", with_target("batching"))
def test_a_way_of_batching_trains_on_each_training_node_once_and_shows_no_other_label(
    name: str, tmp_path
) -> None:
    words = ["model=gcn", "data=csbm", f"batching={name}", f"cache_dir={tmp_path}"]
    task = build_task(compose(words))
    source, store, train = task.source, task.dataset.store, task.dataset.split.train
    if not isinstance(source, Parts):
        of_graphs_of_its_own(task)
        return

    def epoch(seed: int) -> list[torch.Tensor]:
        return source.cutter.epoch(torch.Generator().manual_seed(seed), 0, 1)

    graph = store.whole().graph
    edges = {*zip(graph.row.tolist(), graph.col.tolist(), strict=True)}
    seen = []
    for chunk in epoch(0):
        part, again = source.cutter.cut(chunk, 5), source.cutter.cut(chunk, 5)
        assert torch.equal(part.nodes, again.nodes)
        batch = batch_of(store, part)
        targets = part.nodes.long()[batch.targets]
        seen.append(targets)
        assert torch.equal(batch.y[batch.targets], store.y[targets])
        hidden = torch.ones(batch.y.numel(), dtype=torch.bool)
        hidden[batch.targets] = False
        assert (batch.y[hidden] == -1).all()
        assert torch.equal(batch.degree.long(), graph.in_degree.long()[part.nodes.long()])
        for layer in part.graphs:
            rows, columns = part.nodes.long()[layer.row.long()], part.nodes.long()[layer.col.long()]
            assert {*zip(rows.tolist(), columns.tolist(), strict=True)} <= edges
    assert torch.equal(torch.cat(seen).sort().values, train.sort().values)
    same, other = torch.cat(epoch(0)), torch.cat(epoch(1))
    assert torch.equal(same, torch.cat(epoch(0))) and not torch.equal(same, other)
