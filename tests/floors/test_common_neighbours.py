"""Scores of pairs against networkx, links that must not count, and what an audit tells of links."""

from __future__ import annotations

from pathlib import Path

import networkx
import numpy as np
import pytest
import torch

from gbench.audits import link_floors, link_scores
from gbench.audits.audited import audited
from gbench.audits.structure import structure_of
from gbench.config.compose import compose
from gbench.data.source import Graph
from gbench.data.spec import DataCard
from gbench.data.store import pack
from gbench.floors.answering import FloorTask
from gbench.floors.running import build_floor
from gbench.floors.shown import Shown
from tests.train.test_links import write_dataset

NUMBER = 30
ORACLES = {
    "common-neighbours": lambda g, pairs: [
        (u, v, len([*networkx.common_neighbors(g, u, v)])) for u, v in pairs
    ],
    "adamic-adar": networkx.adamic_adar_index,
    "resource-allocation": networkx.resource_allocation_index,
    "preferential-attachment": networkx.preferential_attachment,
}


@pytest.mark.parametrize("name", link_scores.NAMES)
@pytest.mark.parametrize("at_once", [1, 1 << 24])
def test_scores_are_those_of_networkx(
    name: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_scores, "ENTRIES_AT_ONCE", at_once)
    random = np.random.RandomState(0)
    sources, targets = random.randint(0, NUMBER, (2, 80))  # loops and repetitions among them
    graph = networkx.Graph([(u, v) for u, v in zip(sources, targets, strict=True) if u != v])
    graph.add_nodes_from(range(NUMBER))
    pairs = np.array([(u, v) for u in range(NUMBER) for v in range(u)])
    edges = torch.from_numpy(np.stack([sources, targets]))
    store = pack([Graph(torch.zeros(NUMBER, 1), edges, torch.zeros(NUMBER).long())], "node")
    linked = link_scores.neighbours(structure_of(store))
    expected = [value for _, _, value in ORACLES[name](graph, [*map(tuple, pairs.tolist())])]
    np.testing.assert_allclose(link_scores.scores(name, linked, pairs), expected)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    write_dataset(tmp_path / "data" / "ogbl_collab", features=True)
    return ["data=ogbl-collab", f"data_dir={tmp_path / 'data'}", f"cache_dir={tmp_path / 'cache'}"]


def test_links_within_groups_are_found_and_validation_links_are_no_edges(words) -> None:
    config = compose(["model=common-neighbours", *words])
    config["data"]["statistics"] = {}
    floor, dataset = build_floor(config)
    shown = Shown.of(dataset, 0)
    assert (shown.dataset.store.y == 1).all()  # training links alone
    candidates = [*floor.candidates(shown)]
    assert [setting["score"] for setting, _ in candidates] == [*link_scores.NAMES]
    links = dataset.store.pairs[dataset.split.train][:, :2].numpy()
    graph = networkx.Graph([*map(tuple, links.tolist())])
    task = FloorTask(floor, dataset, candidates[0].fit())
    for part in ("valid", "test"):
        said, y = task.answers_to(task.part(part))
        pairs = dataset.store.pairs[task.part(part)].tolist()
        both = [set(graph[u]) & set(graph[v]) if {u, v} <= {*graph} else () for u, v in pairs]
        assert said.ravel().tolist() == [len(nodes) for nodes in both]
        assert said[y > 0].mean() > 2 * said[y <= 0].mean()
    assert "validation links" in floor.notes(shown)[0]


def test_an_audit_tells_of_links_what_a_loop_counts(words) -> None:
    config = compose(["model=common-neighbours", *words])
    data = {**config["data"], "statistics": {}}
    cache = Path(config["cache_dir"])
    seen = audited(DataCard.from_config(data), Path(config["data_dir"]), cache)
    facts = {fact.fact: fact.value for fact in link_floors.facts(seen)}
    patterns = {name.replace("{part}", part) for name in link_floors.DEFINITIONS
                for part in ("valid", "test")}  # fmt: skip
    assert facts.keys() <= patterns
    pairs, y = seen.store.pairs.numpy(), seen.store.y.numpy()[:, 0]
    train = pairs[seen.splits[0].train]
    graph = networkx.Graph([*map(tuple, train.tolist())])
    graph.add_nodes_from(range(seen.structure.num_nodes))
    ids = seen.splits[0].test
    links = [tuple(pair) for pair in pairs[ids][y[ids] > 0].tolist()]
    shared = [bool([*networkx.common_neighbors(graph, u, v)]) for u, v in links]
    assert facts["test links"] == len(links)
    assert facts["test links with a common neighbour"] == pytest.approx(100 * np.mean(shared))
    assert facts["test links that are training edges"] == sum(graph.has_edge(*p) for p in links)
    apart = sum(not networkx.has_path(graph, u, v) for u, v in links)
    assert facts["test links between components"] == apart
    floor, dataset = build_floor({**config, "data": data})
    for name, fit in floor.candidates(Shown.of(dataset, 0)):
        score = 100 * FloorTask(floor, dataset, fit()).evaluate("test")
        assert facts[f"{link_floors.WORDS[name['score']]}, test"] == pytest.approx(score)


def test_hits_are_ogbs() -> None:
    said, is_link = (
        np.array([3.0, 2, 2, 1, 5, 2]),
        np.array([True, True, True, False, False, False]),
    )
    assert link_floors.in_metric("hits@2", said, is_link) == pytest.approx(1 / 3)
    assert np.isnan(link_floors.in_metric("hits@4", said, is_link))
    assert link_floors.in_metric("my.own", said, is_link) is None
    assert torch.tensor(link_floors.in_metric("rocauc", said, is_link)).item() > 0
