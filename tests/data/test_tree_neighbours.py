"""Tree-NeighboursMatch: the trees, what they ask, and where the answer is read."""

from __future__ import annotations

from pathlib import Path

import networkx
import pytest
import torch

from gbench.build import build_model
from gbench.config.compose import compose
from gbench.data import manage
from gbench.data.check import check_source
from gbench.data.loaders.tree_neighbours import load
from gbench.data.source import Source
from gbench.data.spec import DataSpec
from gbench.data.store import pack
from gbench.errors import UserError

OPTIONS = {"num_permutations": 1000, "max_graphs": 32000, "seed": 0}


def trees(depth: int, **changes: int) -> Source:
    return load(Path("/nowhere"), depth, **{**OPTIONS, **changes})


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_graph_asks_for_the_value_at_the_leaf_that_the_root_names(depth: int) -> None:
    source = trees(depth, max_graphs=64 * 2**depth)
    for graph in source.graphs[::7]:
        tree = networkx.DiGraph(graph.edge_index.t().tolist())
        assert all(tree.out_degree(node) == (node > 0) for node in tree)  # on to the root, node 0
        leaves = [node for node in tree if tree.in_degree(node) == 0]
        assert len(leaves) == 2**depth and len(tree) == 2 ** (depth + 1) - 1
        assert {networkx.shortest_path_length(tree, leaf, 0) for leaf in leaves} == {depth}
        numbers, values = graph.x[leaves].t().tolist()
        assert sorted(numbers) == sorted(values) == [*range(1, 2**depth + 1)]
        inner = [node for node in tree if node and node not in leaves]
        assert not graph.x[inner].any() and graph.x[0, 1] == 0
        assert values[numbers.index(int(graph.x[0, 0]))] == int(graph.y) + 1


@pytest.mark.parametrize(
    ("depth", "num_graphs"), [(1, 2 * 2), (2, 24 * 4), (3, 1000 * 8), (4, 16_000), (6, 32_000)]
)
def test_sizes_are_those_of_the_authors_code(depth: int, num_graphs: int) -> None:
    source = trees(depth)
    assert len(source.graphs) == num_graphs and source.num_outputs == 2**depth
    if depth <= 3:
        seen = {tuple(graph.x.flatten().tolist()) for graph in source.graphs}
        assert len(seen) == num_graphs  # no tree twice


def test_the_split_takes_its_shares_of_every_class_and_follows_the_seed() -> None:
    source = trees(3)
    y = torch.cat([graph.y for graph in source.graphs])
    for part, share in zip(source.splits[0], (0.6, 0.2, 0.2), strict=True):
        assert y[part].bincount().tolist() == [1000 * share] * 8
    assert torch.equal(source.splits[0].train, trees(3).splits[0].train)
    assert not torch.equal(source.graphs[0].x, trees(3, seed=1).graphs[0].x)


def test_a_card_and_its_source_agree() -> None:
    card = manage.card_of("tree-neighbours-match")
    check_source(card, trees(2))
    with pytest.raises(UserError, match=r"data.depth=9: trees have a depth of 1 to 8"):
        trees(9)


@pytest.mark.parametrize("name", ["gcn", "gin"])
def test_models_read_the_answer_at_the_root_alone(name: str) -> None:
    """One layer brings it its children; a readout over all nodes would let a leaf in."""
    torch.manual_seed(0)
    source = trees(2)
    spec = DataSpec("graph", 4, 2, source.node_categories, reads_first_node=True)
    settings = compose([f"model={name}", "data=tree-neighbours-match", "model.num_layers=1"])
    model = build_model({**settings["model"], "dropout": 0.0}, spec).eval()
    graphs = [*source.graphs[:2]]
    leaf = graphs[0].x.clone()
    leaf[-1, 1] = 0
    child = graphs[0].x.clone()
    child[1, 1] = 3
    changed = [graphs[0]._replace(x=x) for x in (graphs[0].x, leaf, child)]
    with torch.no_grad():
        same, by_leaf, by_child = model(pack(changed).batch(torch.arange(3)))
    assert torch.equal(same, by_leaf)
    assert not torch.equal(same, by_child)
