"""Facts of graph datasets: against the reference, and where the answer is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from gbench.audits import graph_ceilings, graph_classes, graph_floors, graph_leaks, shape
from gbench.audits.audited import Audited
from gbench.audits.coloured import Coloured, starts_of
from gbench.audits.colours import multisets
from gbench.audits.definitions import is_defined
from gbench.audits.fact import Fact
from gbench.audits.graph_counts import label_counts, sizes_of
from gbench.audits.graph_labels import label_sets
from gbench.audits.graph_leaks import twin_means
from gbench.audits.scores import score

KINDS = (shape, graph_classes, graph_ceilings, graph_leaks)
EXACT = (
    r"distinct graphs.*", r"graphs with a twin.*", r"twin groups.*", r"pairs of equal graphs.*",
    r"conflicting groups.*", r"graphs in conflicting groups.*", r"1-WL classes.*", r"ceiling.*",
    r"test ceiling.*", r"ROC-AUC ceiling.*", r"AP ceiling.*", r"test graphs with a train twin.*",
    r"graphs with a train twin.*", r"copied right.*", r"copy the twin.*", r"table lookup.*",
    r"positives among graphs.*", r"node label values.*", r"edge label values.*",
    r"node attributes", r"edges with two labels",
)  # fmt: skip
# Of strings and sequences, which are of one dataset alone, and of models no audit is of.
APART = r"(?!.*(SMILES|sequences|3-WL))"


def exact(data: Audited) -> Iterator[Fact]:
    for kind in KINDS:
        yield from kind.facts(data)


@pytest.mark.data
@pytest.mark.parametrize("name", ["mutag", "enzymes", "proteins", "imdb-binary"])
def test_sets_of_ten_folds(
    name: str, ten_fold_idx: Callable[[str], Audited], agrees: Callable[..., int]
) -> None:
    data = ten_fold_idx(name)
    assert agrees(name, exact(data), [APART + each for each in EXACT], ["", "10fold_idx"]) > 40


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "split"),
    [("csl", "benchmarking-gnns-5-fold"), ("exp", "gnn-rni-10-fold"), ("sr25", "")],
)
def test_sets_that_refinement_cannot_separate(
    name: str, split: str, real: Callable[..., Audited], agrees: Callable[..., int]
) -> None:
    facts = exact(real(name))
    assert agrees(name, facts, [APART + each for each in EXACT], [*{"", split}]) > 15


@pytest.mark.data
def test_molecules_of_one_split(real: Callable[..., Audited], agrees: Callable[..., int]) -> None:
    """All 41,127 graphs of molhiv, under five sets of labels."""
    facts = exact(real("ogbg-molhiv"))
    names = [APART + each for each in EXACT]
    assert agrees("ogbg-molhiv", facts, names, ["", "valid", "test"]) > 100


@pytest.mark.data
def test_each_value_of_each_column_of_atoms_is_counted(real: Callable[..., Audited]) -> None:
    data = real("ogbg-molhiv")
    nodes, edges = sizes_of(data).T
    assert np.array_equal(label_counts(data).sum(axis=1), data.store.x.size(1) * nodes + edges)


@pytest.mark.data
def test_every_fact_is_defined_and_told_once(real: Callable[..., Audited]) -> None:
    facts = [*exact(real("mutag")), *exact(real("csl")), *exact(real("sr25"))]
    known = [kind.DEFINITIONS for kind in KINDS]
    assert not [fact.fact for fact in facts if not is_defined(fact.fact, known)]
    places = [(f.split, f.fold, f.fact) for f in exact(real("mutag"))]
    assert len(places) == len({*places})


@pytest.mark.data
def test_forests_on_counts_score_as_the_reference_says(
    ten_fold_idx: Callable[[str], Audited],
    reference: Callable[[str], dict[tuple[str, int | None, str], str]],
) -> None:
    """By the mean of two folds, which moves by some points with the order of columns."""
    data = ten_fold_idx("mutag")
    facts = [*graph_floors.facts(replace(data, splits=data.splits[:2]))]
    names = {fact.fact for fact in facts}
    assert names == {
        "random forest on sizes",
        "random forest on sizes and label counts",
        "random forest on 1-WL histogram, node labels",
        "random forest on 1-WL histogram, node and edge labels",
    }
    for fact in facts:
        value = float(reference("mutag")[fact.split, fact.fold, fact.fact])
        assert abs(float(fact.value) - value) < 12  # 2 of 18 graphs


@pytest.mark.data
def test_bonds_of_mutag_are_looked_at_and_not_trained_on(real: Callable[..., Audited]) -> None:
    data = real("mutag")
    sets = {labels.name: labels for labels in label_sets(data)}
    assert list(sets) == ["node and edge labels", "node labels", "no labels"]
    assert not sets["node and edge labels"].is_trained_on
    edges = sets["node and edge labels"].edges
    assert edges is not None and len(edges) == len(data.structure.indices)
    assert data.store.edge_code is None
    seen = next(graph_classes.facts(data))
    assert (seen.fact, seen.value) == ("labels that training sees", "node labels")


def packed(edges: list[list[tuple[int, int]]], sizes: list[int]) -> Coloured:
    ptr = starts_of(np.array(sizes))
    pairs = [(ptr[g] + a, ptr[g] + b) for g, of in enumerate(edges) for a, b in of]
    rows = np.array(sorted([*pairs, *((b, a) for a, b in pairs)]))
    degree = np.bincount(rows[:, 0], minlength=ptr[-1])
    return Coloured(ptr, starts_of(degree), rows[:, 1], np.zeros(ptr[-1], dtype=np.int64))


def test_classes_by_depth_are_those_of_refining_all_graphs_to_the_end() -> None:
    random = np.random.default_rng(0)
    sizes = random.integers(2, 7, 60).tolist()
    edges = [
        [(a, b) for a in range(n) for b in range(a) if random.random() < 0.5] or [(0, 1)]
        for n in sizes
    ]
    graphs = packed(edges, sizes)
    found = graph_classes.refined_classes(graphs)[0]
    colours = graphs.codes
    from gbench.audits.colours import refine

    rounds = [*refine(colours, graphs.indptr, graphs.indices)]
    for depth, classes in found.items():
        at = len(rounds) - 1 if depth == "inf" else min(int(depth), len(rounds) - 1)
        expected = multisets(rounds[at], graphs.node_ptr)
        same = expected[:, None] == expected
        assert np.array_equal(same, classes[:, None] == classes), depth


def test_copying_takes_the_mean_of_the_training_twins_alone() -> None:
    classes = np.array([0, 0, 1, 0, 1, 2])
    y = np.array([[1.0], [0.0], [np.nan], [1.0], [5.0], [7.0]])
    means, has_twin = twin_means(classes, y, np.array([0, 1, 2]), np.array([3, 4, 5]))
    assert means[0, 0] == 0.5 and np.isnan(means[1:, 0]).all()
    assert has_twin.tolist() == [True, True, False]


def test_scores_are_means_over_tasks_that_have_both_labels() -> None:
    y = np.array([[1, 1], [0, 1], [np.nan, 1], [0, 1]])
    answers = np.array([[0.9, 0], [0.1, 0], [0.2, 0], [0.95, 0]])
    assert score("rocauc", answers, y) == 0.5
    assert score("ap", answers, y) == 0.5
    assert score("mae", np.array([[1.0], [2.0]]), np.array([[0.0], [np.nan]])) == 1
    assert np.isnan(score("accuracy", answers, y))
