"""Classes of isomorphic graphs, against networkx and graphs whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import networkx as nx
import numpy as np
import pytest

from gbench.audits.audited import Audited
from gbench.audits.coloured import Coloured, starts_of
from gbench.audits.colours import multisets
from gbench.audits.isomorphism import isomorphism_classes


def coloured(graphs: Sequence[nx.Graph], with_edges: bool = False) -> Coloured:
    """Graphs of networkx; `colour` of nodes and `kind` of edges are their labels."""
    ptr = starts_of(np.array([len(g) for g in graphs], dtype=np.int64))
    codes = [value for g in graphs for _, value in g.nodes(data="colour", default=0)]
    entries = []
    for first, graph in zip(ptr, graphs, strict=False):
        place = {node: first + i for i, node in enumerate(graph)}
        for a, b, kind in graph.edges(data="kind", default=0):
            entries += [(place[a], place[b], kind), (place[b], place[a], kind)]
    row, column, kinds = np.array(sorted(entries), dtype=np.int64).reshape(-1, 3).T
    return Coloured(
        ptr,
        starts_of(np.bincount(row, minlength=ptr[-1])),
        column,
        np.array(codes, dtype=np.int64),
        kinds if with_edges else None,
    )


def shuffled(graph: nx.Graph, random: np.random.Generator) -> nx.Graph:
    """The same graph with its nodes renumbered."""
    order = random.permutation(len(graph)).tolist()
    moved = nx.relabel_nodes(graph, dict(zip(graph, order, strict=True)))
    copy = nx.Graph()
    copy.add_nodes_from((node, moved.nodes[node]) for node in sorted(moved))
    copy.add_edges_from(moved.edges(data=True))
    return copy


def changed(graph: nx.Graph, random: np.random.Generator) -> nx.Graph:
    """A near miss, mostly: one edge stands somewhere else, with the same label."""
    graph = graph.copy()
    edges = list(graph.edges(data=True))
    if edges and len(graph) > 2:
        a, b, data = edges[int(random.integers(len(edges)))]
        c, d = random.choice(len(graph), 2, replace=False).tolist()
        graph.remove_edge(a, b)
        graph.add_edge(c, d, **data)
    return graph


def drawn(random: np.random.Generator) -> nx.Graph:
    """Small graphs with many symmetries: random, regular, disconnected, cliques, stars, empty."""
    n, seed = int(random.integers(1, 9)), int(random.integers(1 << 30))
    kinds: list[Callable[[], nx.Graph]] = [
        lambda: nx.gnp_random_graph(n, float(random.random()), seed=seed),
        lambda: nx.random_regular_graph(3, 8, seed=seed),
        lambda: nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3 + n % 3)),
        lambda: nx.cycle_graph(6) if n % 2 else nx.disjoint_union_all([nx.cycle_graph(3)] * 2),
        lambda: nx.complete_graph(n),
        lambda: nx.star_graph(n),
        lambda: nx.empty_graph(n - 1),
    ]
    graph: nx.Graph = kinds[int(random.integers(len(kinds)))]()
    for node in graph:
        graph.nodes[node]["colour"] = int(random.integers(2)) if n % 3 == 0 else 0
    for edge in graph.edges:
        graph.edges[edge]["kind"] = int(random.integers(2))
    return graph


@pytest.mark.parametrize("with_edges", [False, True])
def test_networkx_finds_the_same_classes(with_edges: bool) -> None:
    random = np.random.default_rng(0)
    graphs = []
    for _ in range(25):
        graph = drawn(random)
        graphs += [graph, shuffled(graph, random), shuffled(changed(graph, random), random)]
    found = isomorphism_classes(coloured(graphs, with_edges))
    assert not found.undecided.any()
    assert set(found.of_graph) == set(range(found.of_graph.max() + 1))
    for i, one in enumerate(graphs):
        for j in range(i):
            same = nx.is_isomorphic(
                one,
                graphs[j],
                lambda a, b: a["colour"] == b["colour"],
                (lambda a, b: a["kind"] == b["kind"]) if with_edges else None,
            )
            assert same == (found.of_graph[i] == found.of_graph[j]), (one.edges, graphs[j].edges)


def test_labels_of_an_edge_may_differ_at_its_ends() -> None:
    """So a direction is kept: the cycle is not the path of the same edges turned once."""
    cycle = [(0, 1), (1, 2), (2, 0)]
    turned = [(0, 1), (1, 2), (0, 2)]
    again = [(2, 1), (1, 0), (0, 2)]
    parts = []
    for directed in (cycle, turned, again):
        rows = sorted([(a, b, 1) for a, b in directed] + [(b, a, 0) for a, b in directed])
        parts.append(np.array(rows))
    row = np.concatenate([p[:, 0] + 3 * i for i, p in enumerate(parts)])
    column = np.concatenate([p[:, 1] + 3 * i for i, p in enumerate(parts)])
    graphs = Coloured(
        np.arange(0, 10, 3),
        starts_of(np.bincount(row)),
        column,
        np.zeros(9, dtype=np.int64),
        np.concatenate(parts)[:, 2],
    )
    found = isomorphism_classes(graphs).of_graph
    assert found[0] == found[2] != found[1]


def rook(n: int) -> nx.Graph:
    """Squares of a board, joined in rows and columns."""
    return nx.convert_node_labels_to_integers(nx.line_graph(nx.complete_bipartite_graph(n, n)))


def shrikhande() -> nx.Graph:
    """Strongly regular as the rook's graph of 4 × 4 squares, and another graph."""
    steps = [(0, 1), (1, 0), (1, 1)]
    graph = nx.Graph()
    for a in range(4):
        for b in range(4):
            for c, d in steps:
                graph.add_edge(4 * a + b, 4 * ((a + c) % 4) + (b + d) % 4)
    return graph


def test_graphs_that_three_dimensions_of_refinement_cannot_separate() -> None:
    random = np.random.default_rng(1)
    graphs = [rook(4), shrikhande(), shuffled(rook(4), random), shuffled(shrikhande(), random)]
    found = isomorphism_classes(coloured(graphs)).of_graph
    assert found[0] == found[2] != found[1] == found[3]


def test_a_search_ends_where_it_is_told_and_says_so() -> None:
    random = np.random.default_rng(1)
    graphs = [rook(4), shrikhande(), shuffled(rook(4), random), nx.path_graph(3)]
    found = isomorphism_classes(coloured(graphs), most=100)
    # What is proved equal without a search stays decided: all of these are of one class to 1-WL.
    assert found.undecided.tolist() == [True, True, True, False]
    assert found.of_graph[0] == found.of_graph[2] != found.of_graph[1]


@pytest.mark.data
def test_strongly_regular_graphs_skip_links_and_pairs_of_formulas(
    real: Callable[..., Audited],
) -> None:
    """1-WL tells apart 1, 1 and 600 of graphs that are 15, 10 and 1,200."""
    for name, refined, exact in (("sr25", 1, 15), ("csl", 1, 10), ("exp", 600, 1200)):
        s = real(name).structure
        indices = s.indices.astype(np.int64)
        graphs = Coloured(s.node_ptr, s.indptr, indices, np.zeros(s.num_nodes, dtype=np.int64))
        stable = graphs.stable(graphs.codes)
        found = isomorphism_classes(graphs, stable)
        assert not found.undecided.any()
        assert multisets(stable, s.node_ptr).max() + 1 == refined
        assert found.of_graph.max() + 1 == exact
