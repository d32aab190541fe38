"""Between data and model: each packaged transform by its formula, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networkx as nx
import pytest
import torch

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.data.big.ppr import personalised
from gbench.data.source import Graph
from gbench.data.spec import DataCard
from gbench.data.store import pack
from gbench.data.transforms.hypergraph import hypergraph
from gbench.data.transforms.knn import knn, nearest
from gbench.data.transforms.rewire import rewire
from gbench.data.transforms.transform import graphs_of, transformed
from gbench.data.transforms.virtual_node import virtual_node
from gbench.errors import UserError
from gbench.kernels import CSR

CARD = DataCard.from_config(compose(["data=csl", "model=gin", "experiment=null"])["data"])
NODES = DataCard.from_config(compose(["data=csbm", "model=gcn", "experiment=null"])["data"])


def random_graph(number: int, share: float = 0.2, seed: int = 0) -> Graph:
    network = nx.gnp_random_graph(number, share, seed=seed)
    edges = torch.tensor([*network.edges]).t()
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(number, 3, generator=generator)
    return Graph(x, torch.cat([edges, edges.flip(0)], 1), None)


def dense(graph: Graph, weighted: bool = False) -> torch.Tensor:
    """Row i receives from column j."""
    number = graph.x.size(0)
    values = graph.edge_weight.double() if weighted else torch.ones(graph.edge_index.size(1))
    adjacency = torch.zeros(number, number, dtype=torch.float64)
    adjacency[graph.edge_index[1], graph.edge_index[0]] = values.double()
    return adjacency


def test_ppr_is_within_epsilon_of_power_iteration() -> None:
    graph, alpha, epsilon = random_graph(40, 0.03), 0.2, 1e-4
    csr, _ = CSR.from_edge_index(graph.edge_index, 40)
    degree = csr.in_degree.double()
    assert (degree == 0).any()  # a walk ends there
    step = dense(graph) / degree.clamp(min=1)[:, None]
    step[degree == 0, degree == 0] = 1.0
    ranks, walkers = torch.zeros(40, 40, dtype=torch.float64), torch.eye(40, dtype=torch.float64)
    for _ in range(400):
        ranks += alpha * walkers
        walkers = (1 - alpha) * walkers @ step
    arrays = (csr.rowptr.numpy(), csr.col.numpy())
    ptr, node, value = personalised(*arrays, range(40), alpha, epsilon, 40)
    for source in range(40):
        found = torch.zeros(40, dtype=torch.float64)
        own = slice(ptr[source], ptr[source + 1])
        found[node[own]] = torch.from_numpy(value[own])
        error = ranks[source] - found
        assert bool((error >= -1e-12).all())
        assert bool((error <= epsilon * degree.clamp(min=1) + 1e-12).all())
        assert value[own].tolist() == sorted(value[own].tolist(), reverse=True)
    few, *_ = personalised(*arrays, [3], alpha, epsilon, 5)
    assert few.tolist() == [0, 5]


def test_rewiring_is_the_diffusion_of_the_inverse() -> None:
    graph, alpha, k = random_graph(30), 0.15, 6
    looped = dense(graph) + torch.eye(30)
    root = looped.sum(1).rsqrt()
    s = (
        alpha
        * torch.linalg.inv(torch.eye(30) - (1 - alpha) * root[:, None] * looped * root).double()
    )
    s.fill_diagonal_(0)
    limit = s.sort(1, descending=True).values[:, k - 1 : k]
    wanted = torch.where(s >= limit, s, 0)
    made = rewire(graph, alpha=alpha, k=k, epsilon=1e-9, weights=True)
    wanted = wanted / wanted.sum(1, keepdim=True)
    torch.testing.assert_close(dense(made, weighted=True), wanted, rtol=1e-5, atol=1e-7)
    bare = rewire(graph, alpha=alpha, k=k, epsilon=1e-9, weights=False)
    assert bare.edge_weight is None
    assert torch.equal(bare.edge_index, made.edge_index)
    with pytest.raises(UserError, match=r"transform.alpha=1.0: allowed is a number above 0"):
        rewire(graph, alpha=1.0, k=3, epsilon=0.1, weights=False)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_knn_is_that_of_all_distances(metric, monkeypatch) -> None:
    monkeypatch.setattr("gbench.data.transforms.knn.ENTRIES_AT_ONCE", 50)
    graph = random_graph(23)
    made = knn(graph, k=4, metric=metric, columns=[0, 2], both_ways=False, keep=False)
    place = graph.x[:, [0, 2]].double()
    distance = torch.cdist(place, place)
    if metric == "cosine":
        distance = 1 - torch.cosine_similarity(place[:, None], place[None], dim=2)
    distance.fill_diagonal_(torch.inf)
    wanted = torch.zeros(23, 23, dtype=torch.float64)
    wanted.scatter_(1, distance.topk(4, largest=False).indices, 1.0)
    assert torch.equal(dense(made), wanted)
    both = knn(graph, k=4, metric=metric, columns=[0, 2], both_ways=True, keep=True)
    united = ((wanted + wanted.t() + dense(graph)) > 0).double()
    assert torch.equal(dense(both), united)
    assert both.edge_index.size(1) == united.sum()


def test_knn_of_equal_places_takes_the_first_and_of_few_nodes_all() -> None:
    assert nearest(torch.zeros(5, 2).double(), 2).tolist() == [
        [1, 2, 0, 2, 0, 1, 0, 1, 0, 1],
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
    ]
    assert nearest(torch.randn(3, 2).double(), 9).size(1) == 6
    assert nearest(torch.randn(1, 2).double(), 9).size(1) == 0


def test_virtual_nodes_meet_all_and_have_categories_of_their_own() -> None:
    x = torch.tensor([[0, 2], [1, 0], [1, 1]])
    bonds = torch.tensor([[3], [3]])
    graph = Graph(
        x, torch.tensor([[0, 1], [1, 0]]), None, bonds, edge_weight=torch.tensor([2.0, 3])
    )
    (made, other) = virtual_node([graph, graph._replace(x=x[:2])], count=2)
    assert made.x.tolist() == [*x.tolist(), [2, 3], [2, 3]]
    assert made.edge_attr.flatten().tolist() == [3, 3, *[4] * 12]
    assert made.edge_weight.tolist() == [2, 3, *[1] * 12]
    joined = nx.DiGraph(made.edge_index.t().tolist())
    assert all(joined.has_edge(i, v) and joined.has_edge(v, i) for i in range(3) for v in (3, 4))
    assert not joined.has_edge(3, 4)
    assert other.x.size(0) == 4


def test_hyperedges_as_stars_and_as_cliques(tmp_path) -> None:
    graph = Graph(torch.randn(5, 2), torch.tensor([[0], [4]]), None)
    lists = [[0, 1, 2], [2, 3], [4]]
    options = {"column": None, "keep": False}
    (star,) = hypergraph([graph], expansion="star", hyperedges=lists, **options)
    assert star.x.size(0) == 7  # one of a single node joins nothing
    pairs = {(0, 5), (1, 5), (2, 5), (2, 6), (3, 6)}
    assert {*map(tuple, star.edge_index.t().tolist())} == pairs | {(b, a) for a, b in pairs}
    file = tmp_path / "hyperedges.txt"
    file.write_text("0 1 2\n2, 3\n4\n")
    (clique,) = hypergraph([graph], expansion="clique", hyperedges=str(file), **options)
    wanted = torch.zeros(5, 5, dtype=torch.float64)
    for own in lists:
        for a in own:
            for b in own:
                wanted[a, b] += (a != b) / max(1, len(own) - 1)
    torch.testing.assert_close(dense(clique, weighted=True), wanted)
    coded = graph._replace(x=torch.tensor([[7, 0], [7, 1], [0, 1], [0, 0], [7, 0]]))
    (made,) = hypergraph([coded], expansion="star", hyperedges=[], column=0, keep=True)
    assert made.edge_index.size(1) == 1 + 2 * 5
    with pytest.raises(UserError, match="say where the hyperedges are"):
        hypergraph([graph], expansion="star", hyperedges=[], **options)
    with pytest.raises(UserError, match=r"names node 9, outside 0\.\.4"):
        hypergraph([graph], expansion="star", hyperedges=[[1, 9]], **options)


def test_graphs_come_out_of_a_store_as_they_went_in() -> None:
    for dataset in (tiny.graphs(CARD, are_molecules=True), tiny.graphs(CARD), tiny.nodes(NODES)):
        store = dataset.store
        graphs = graphs_of(store)
        assert all(graph.y is None for graph in graphs)
        rows = 1 if dataset.spec.level == "graph" else store.num_nodes
        again = pack([g._replace(y=store.y[:rows]) for g in graphs], dataset.spec.level)
        for name, tensor in store.tensors().items():
            assert name == "y" or torch.equal(tensor, getattr(again, name)), name


def settings(function: str, **options: object) -> dict:
    return {"name": "own", "_target_": f"tests.data.own_transforms.{function}", **options}


def test_labels_and_splits_stay_and_added_nodes_have_neither(tmp_path) -> None:
    before = tiny.nodes(NODES)
    added = {"name": "v", "_target_": "gbench.data.transforms.virtual_node.virtual_node"}
    after = transformed(before, {**added, "whole": True, "count": 2}, tmp_path)
    assert after.store.y.tolist() == [*before.store.y.tolist(), -1, -1]
    assert after.split is before.split
    assert after.fingerprint != before.fingerprint
    again = transformed(before, {**added, "whole": True, "count": 2}, tmp_path)
    assert again.fingerprint == after.fingerprint
    assert before.store.num_nodes + 2 == after.store.num_nodes
    molecules = tiny.graphs(CARD, are_molecules=True)
    more = transformed(molecules, {**added, "whole": True, "count": 1}, tmp_path)
    assert torch.equal(more.store.y, molecules.store.y)
    assert more.spec.node_categories == tuple(size + 1 for size in molecules.spec.node_categories)
    both = {name: {**added, "whole": True, "count": 1} for name in ("a", "b")}
    assert transformed(before, {"name": "a+b", **both}, tmp_path).store.num_nodes == 32


@pytest.mark.parametrize(("function", "says"), [
    ("with_labels", r"graph with labels for graph 0: they stay the dataset's own"),
    ("with_nan", r"graph 0: x has values that are not finite"),
    ("without_a_node", r"graph 0: 1 of 30 nodes are lost, and each may have a label"),
    ("as_a_number", r"returned int for graph 0, not a Graph"),
    ("with_edges_to_nowhere", r"edge_index names nodes outside 0\.\.29"),
    ("with_options", r"missing a required argument: 'number'"),
])  # fmt: skip
def test_what_is_no_sound_graph_is_refused(function, says, tmp_path) -> None:
    with pytest.raises(UserError, match=says):
        transformed(tiny.nodes(NODES), settings(function), tmp_path)


def test_losing_a_graph_and_transforms_of_links_are_refused(tmp_path) -> None:
    with pytest.raises(UserError, match="returned 11 graphs for 12 graphs: each has a label"):
        transformed(tiny.graphs(CARD), settings("without_the_last", whole=True), tmp_path)
    link = replace(tiny.nodes(NODES), spec=replace(tiny.nodes(NODES).spec, level="link"))
    with pytest.raises(UserError, match="transforms are for node- and graph-level data"):
        transformed(link, settings("with_nan"), tmp_path)


def test_whether_edges_are_directed_is_told_of_the_graph_that_is_made(tmp_path) -> None:
    before = tiny.nodes(NODES)
    knn = {"name": "knn", "_target_": "gbench.data.transforms.knn.knn", "k": 3}
    knn |= {"metric": "euclidean", "columns": [], "keep": False}
    for both_ways in (False, True):
        after = transformed(before, {**knn, "both_ways": both_ways}, tmp_path)
        assert after.spec.is_directed is not both_ways


def test_a_run_of_transformed_data_stands_under_a_title_of_its_own(tmp_path: Path) -> None:
    words = ["model=gcn", "data=csbm", "data.num_nodes=300", f"cache_dir={tmp_path}"]
    plain, moved = compose(words), compose([*words, "transform=[knn,virtual-node]"])
    assert DataCard.from_config(plain["data"]).title == "csbm num_nodes=300"
    title = "csbm num_nodes=300 transform=knn+virtual-node"
    assert DataCard.from_config(moved["data"]).title == title
    task = build_task(moved)
    assert task.dataset.store.num_nodes == 301
    assert task.labels("test").min() >= 0


def test_a_transform_of_ones_own_is_three_lines(tmp_path: Path) -> None:
    """As the README shows it; its code counts in the run's identity."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    text = readme[readme.index("`mine/transform/reversed.yaml`") :]
    code = text[text.index("```python\n") + 10 :].partition("```")[0]
    mine = tmp_path / "mine"
    (mine / "transform").mkdir(parents=True)
    (mine / "turned.py").write_text(code)
    (mine / "transform" / "reversed.yaml").write_text("_target_: turned.backwards\n")
    words = ["model=gcn", "data=csbm", "data.num_nodes=300", f"cache_dir={tmp_path}"]
    config = compose([*words, "transform=reversed"], [mine])
    assert list(config["code"]["sources"]) == ["turned.py"]
    store, plain = (build_task(c).dataset.store for c in (config, compose(words)))
    assert torch.equal(store.whole().graph.rowptr, plain.whole().graph.rowptr_t)
