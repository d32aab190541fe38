"""The counts of the generated graphs, found again by listing with networkx."""

from __future__ import annotations

from itertools import combinations
from math import comb
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from networkx.algorithms.isomorphism import GraphMatcher

from gbench.data.loaders.substructures import COUNTS, count, load
from gbench.errors import UserError

PATTERNS = {
    "triangles": (nx.cycle_graph(3), 6), "4-cycles": (nx.cycle_graph(4), 8),
    "5-cycles": (nx.cycle_graph(5), 10), "3-stars": (nx.star_graph(3), 6),
    "3-paths": (nx.path_graph(4), 2),
}  # fmt: skip


def network(graph) -> nx.Graph:
    made = nx.Graph()
    made.add_nodes_from(range(graph.x.size(0)))
    made.add_edges_from(graph.edge_index.t().tolist())
    return made


def made(**options):
    settings = {"graphs": "regular", "counts": COUNTS[:3], "num_graphs": 40, "seed": 0}
    return load(Path(), **{**settings, **options})


@pytest.mark.parametrize("graphs", ["regular", "random"])
def test_counts_are_those_of_all_monomorphisms(graphs) -> None:
    for graph in made(graphs=graphs, counts=["triangles"]).graphs[:6]:
        whole = network(graph)
        found = count(len(whole), np.array([*whole.edges]).T)
        for name, (pattern, symmetries) in PATTERNS.items():
            number = sum(1 for _ in GraphMatcher(whole, pattern).subgraph_monomorphisms_iter())
            assert found[name] == number // symmetries, name


def test_complete_graphs_have_counts_in_closed_form() -> None:
    edges = np.array([*combinations(range(7), 2)]).T
    assert count(7, edges) == {
        "triangles": comb(7, 3), "4-cycles": 3 * comb(7, 4), "5-cycles": 12 * comb(7, 5),
        "3-stars": 7 * comb(6, 3), "3-paths": 12 * comb(7, 4),
    }  # fmt: skip


def test_graphs_are_regular_and_differ_and_come_again_from_the_seed() -> None:
    source, again, other = made(), made(), made(seed=1)
    sizes = [(10, 6), (15, 6), (20, 5), (30, 5)]
    for place, graph in enumerate(source.graphs):
        nodes, degree = sizes[place % 4]
        assert [d for _, d in network(graph).degree()] == [degree] * nodes
    firsts = {tuple(g.edge_index.flatten().tolist()) for g in source.graphs}
    assert len(firsts) == 40
    for one, same in zip(source.graphs, again.graphs, strict=True):
        assert torch.equal(one.edge_index, same.edge_index)
        assert torch.equal(one.y, same.y)
    assert not torch.equal(source.graphs[0].edge_index, other.graphs[0].edge_index)


def test_labels_have_deviation_one_over_the_training_graphs_alone() -> None:
    source = made(num_graphs=60)
    y = torch.cat([graph.y for graph in source.graphs]).double()
    (split,) = source.splits
    spread = y[split.train].std(0, unbiased=False)
    torch.testing.assert_close(spread, torch.ones(3).double(), rtol=1e-5, atol=1e-5)
    assert [part.numel() for part in split] == [18, 12, 30]
    assert sorted(torch.cat(split).tolist()) == [*range(60)]


@pytest.mark.parametrize(("options", "says"), [
    ({"counts": ["6-cycles"]}, "allowed are triangles"), ({"graphs": "tree"}, "regular, random"),
    ({"num_graphs": 3}, "at least 20"),
])  # fmt: skip
def test_other_options_are_refused(options, says) -> None:
    with pytest.raises(UserError, match=says):
        made(**options)
