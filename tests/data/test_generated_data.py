"""The datasets that need no files: are they what their names promise?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from gbench.data.loaders import csbm, csl, digits
from gbench.data.loaders.splits import stratified, ten_folds
from gbench.data.source import Graph, Split
from gbench.errors import UserError

NOWHERE = Path("no-such-folder")


def network(graph: Graph) -> nx.Graph:
    made = nx.Graph()
    made.add_nodes_from(range(graph.x.size(0)))
    made.add_edges_from(graph.edge_index.t().tolist())
    return made


def spectrum(graph: nx.Graph) -> tuple[float, ...]:
    values = np.linalg.eigvalsh(nx.to_numpy_array(graph, nodelist=sorted(graph)))
    return tuple(np.round(np.sort(values), 6) + 0.0)


def check_partition(split: Split, size: int) -> None:
    assert sorted(torch.cat(list(split)).tolist()) == list(range(size))


def test_csl_classes_are_the_ten_skip_graphs() -> None:
    source = csl.load(NOWHERE)
    graphs = [network(graph) for graph in source.graphs]
    assert len(graphs) == 150
    # All are 4-regular, so that 1-WL sees one class; their spectra tell all ten apart.
    assert {degree for graph in graphs for _, degree in graph.degree()} == {4}
    expected = [spectrum(nx.circulant_graph(41, [1, skip])) for skip in csl.SKIPS]
    assert len(set(expected)) == 10
    for i, graph in enumerate(graphs):
        assert int(source.graphs[i].y) == i // 15
        assert np.allclose(spectrum(graph), expected[i // 15], atol=1e-5)
    original = nx.circulant_graph(41, [1, csl.SKIPS[3]])
    assert nx.vf2pp_is_isomorphic(graphs[45], original)
    assert len({tuple(sorted(map(tuple, map(sorted, graph.edges)))) for graph in graphs}) == 150
    assert all(bool((graph.x == 1).all()) for graph in source.graphs)


def test_csl_folds_are_balanced_and_test_every_graph_once() -> None:
    source = csl.load(NOWHERE)
    tested = []
    for split in source.splits:
        check_partition(split, 150)
        for part, each in zip(split, (9, 3, 3), strict=True):
            assert Counter((part // 15).tolist()) == dict.fromkeys(range(10), each)
        tested += split.test.tolist()
    assert sorted(tested) == list(range(150))


def test_csl_folds_of_the_mixer_test_every_graph_once_and_validate_on_the_same() -> None:
    tested = []
    for split in csl.load(NOWHERE, split="mixer-5-fold-selects-on-test").splits:
        assert torch.equal(split.valid, split.test)
        assert sorted(torch.cat([split.train, split.test]).tolist()) == list(range(150))
        assert Counter((split.test // 15).tolist()) == dict.fromkeys(range(10), 3)
        tested += split.test.tolist()
    assert sorted(tested) == list(range(150))


@pytest.mark.data
def test_csl_folds_and_classes_are_the_published_ones(data_dir: Path) -> None:
    source = csl.load(NOWHERE)
    folder = data_dir / "GNNBenchmarkDataset" / "CSL" / "folds"
    for part, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        lines = (folder / f"CSL_{name}.index").read_text().split()
        published = [sorted(map(int, line.split(","))) for line in lines]
        assert [getattr(split, part).tolist() for split in source.splits] == published


def test_digits_are_the_images() -> None:
    from sklearn.datasets import load_digits

    source = digits.load(NOWHERE)
    images, labels = load_digits(return_X_y=True)
    grid = nx.strong_product(nx.path_graph(8), nx.path_graph(8))
    for i in (0, 1, 1796):
        graph = source.graphs[i]
        assert graph.x[:, 0].tolist() == pytest.approx((images[i] / 16).tolist())
        places = [(int(row), int(col)) for row, col in (graph.x[:, 1:] * 7).round()]
        assert nx.utils.graphs_equal(
            nx.relabel_nodes(network(graph), dict(enumerate(places))), grid
        )
        assert int(graph.y) == labels[i]
    split = source.splits[0]
    check_partition(split, 1797)
    for label in range(10):
        shares = [np.mean(labels[part.numpy()] == label) for part in split]
        assert max(shares) - min(shares) < 0.005
    again = digits.load(NOWHERE).splits[0]
    assert all(torch.equal(one, other) for one, other in zip(split, again, strict=True))


@pytest.mark.parametrize(("homophily", "num_classes"), [(0.9, 2), (0.5, 2), (0.1, 2), (0.7, 5)])
def test_csbm_has_the_homophily_and_degree_asked_for(homophily: float, num_classes: int) -> None:
    source = csbm.load(NOWHERE, 3000, 4, 12.0, homophily, 1.0, num_classes=num_classes)
    (graph,) = source.graphs
    (left, right), y = graph.edge_index, graph.y
    # 18,000 edges: the share has a standard deviation of at most 0.0037, the degree of 0.09
    assert float((y[left] == y[right]).float().mean()) == pytest.approx(homophily, abs=0.016)
    assert left.numel() / 3000 == pytest.approx(12.0, abs=0.4)
    assert not bool((left == right).any())
    assert graph.edge_index.unique(dim=1).size(1) == left.numel()
    assert set(Counter(y.tolist()).values()) == {3000 // num_classes}


def test_csbm_edges_are_spread_evenly_within_a_block() -> None:
    source = csbm.load(NOWHERE, 400, 1, 100.0, 0.9, 0.0)
    degree = torch.bincount(source.graphs[0].edge_index[1], minlength=400).float()
    # Binomial degrees: 199 · 0.45 · 0.55 + 200 · 0.05 · 0.95 = 58.8
    assert float(degree.var()) == pytest.approx(58.8, rel=0.25)
    first, last = degree[:100].mean(), degree[100:200].mean()
    assert abs(float(first - last)) < 4 * (2 * 58.8 / 100) ** 0.5


def test_csbm_features_follow_the_paper() -> None:
    nodes, features, signal = 4000, 50, 800.0
    (graph,) = csbm.load(NOWHERE, nodes, features, 2.0, 0.5, signal).graphs
    means = torch.stack([graph.x[graph.y == label].mean(dim=0) for label in (0, 1)])
    half_distance = (means[0] - means[1]) / 2
    # √(μ/n) |u| with |u|² ≈ 1 ± √(2/p); the two means are opposite but for noise of 1/√(p n/2)
    assert float(half_distance.norm()) == pytest.approx((signal / nodes) ** 0.5, rel=0.35)
    assert float((means[0] + means[1]).norm()) < 0.1 * float(half_distance.norm())
    noise = graph.x - means[graph.y]
    assert float(noise.var()) == pytest.approx(1 / features, rel=0.03)


@pytest.mark.parametrize(("degree", "homophily"), [(10.0, 1.2), (150.0, 0.9), (10.0, -0.1)])
def test_csbm_says_what_cannot_be(degree: float, homophily: float) -> None:
    with pytest.raises(UserError, match=r"data\.homophily=.* must be 0 to 1"):
        csbm.load(NOWHERE, 200, 3, degree, homophily, 1.0)


def test_csbm_depends_on_its_seed_and_nothing_else() -> None:
    one, same, other = (
        csbm.load(NOWHERE, 200, 3, 6.0, 0.8, 1.0, seed=s).graphs[0] for s in (0, 0, 1)
    )
    assert torch.equal(one.x, same.x) and torch.equal(one.edge_index, same.edge_index)
    assert not torch.equal(one.x, other.x)


def test_stratified_takes_its_shares_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [10, 100, 50])
    split = stratified(labels, train=0.6, valid=0.2, seed=4)
    check_partition(split, 160)
    for part, share in zip(split, (0.6, 0.2, 0.2), strict=True):
        counts = Counter(labels[part.numpy()].tolist())
        assert counts == {0: 10 * share, 1: 100 * share, 2: 50 * share}


def test_ten_folds_validate_on_the_next_test_fold() -> None:
    labels = np.repeat([0, 1], [60, 120])
    splits = ten_folds(labels)
    assert len(splits) == 10
    for k, split in enumerate(splits):
        check_partition(split, 180)
        assert Counter(labels[split.test.numpy()].tolist()) == {0: 6, 1: 12}
        assert torch.equal(split.valid, splits[(k + 1) % 10].test)
    assert sorted(torch.cat([split.test for split in splits]).tolist()) == list(range(180))
