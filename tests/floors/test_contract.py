"""Every floor of conf/model: what it sees, and what it may say, on tiny data of all its levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gbench.build import constructed
from gbench.choices import read_yaml
from gbench.config.floors import floors
from gbench.contracts import tiny
from gbench.data.dataset import Dataset
from gbench.data.source import Graph, Split
from gbench.data.spec import DataCard, DataSpec
from gbench.floors import counts, logistic
from gbench.floors.floor import Floor
from gbench.floors.shown import Shown

NODES = 40


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "TREES", 3)
    monkeypatch.setattr(logistic, "STRENGTHS", (0.01, 0.1))


def card(level: str, metric: str = "accuracy", loss: str = "cross-entropy") -> DataCard:
    return DataCard("tiny", "x", level, loss, metric, "max", "own", 1, 0, "", "", "")


def links() -> Dataset:
    """Pairs of one graph: the training links are its edges."""
    random = torch.Generator().manual_seed(0)
    upper = torch.combinations(torch.arange(NODES))
    upper = upper[torch.randperm(len(upper), generator=random)]
    edges, others = upper[:90], upper[90:190]
    y = torch.cat([torch.ones(90), (torch.arange(100) % 2).float()])[:, None]
    graph = Graph(
        torch.ones(NODES, 1), torch.cat([edges, edges.flip(1)]).t(), y,
        pairs=torch.cat([edges, others]),
    )  # fmt: skip
    split = Split(torch.arange(90), torch.arange(90, 140), torch.arange(140, 190))
    return tiny.dataset(card("link", "rocauc", "bce"), DataSpec("link", 1, 1), [graph], split)


def with_labels(dataset: Dataset, kind: str) -> Dataset:
    """The same with tasks, some of whose labels are missing, or with numbers."""
    if kind == "classes":
        return dataset
    random = torch.Generator().manual_seed(3)
    y = torch.rand(len(dataset.store.y), 2, generator=random)
    if kind == "tasks":
        y = y.round()
        y[::5, 1] = torch.nan
    metric, loss = ("rocauc", "bce") if kind == "tasks" else ("mae", "l1")
    known = card(dataset.card.level, metric, loss)
    spec = replace(dataset.spec, num_outputs=2)
    return replace(dataset, card=known, spec=spec, store=replace(dataset.store, y=y, memo={}))


DATA = {
    "node": lambda kind: with_labels(tiny.nodes(card("node")), kind),
    "graph": lambda kind: with_labels(tiny.graphs(card("graph"), are_molecules=True), kind),
    "link": lambda kind: links(),
}
CASES = [
    (name, level, kind)
    for name, path in floors().items()
    for level in read_yaml(path)["model"]["levels"]
    for kind in (("classes", "tasks", "numbers") if level != "link" else ("links",))
]


def floor_of(name: str, dataset: Dataset) -> Floor:
    made = constructed({"name": name, **read_yaml(floors()[name])["model"]}, dataset.spec)
    assert isinstance(made, Floor)
    return made


def said(name: str, dataset: Dataset, items: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    candidates = floor_of(name, dataset).candidates(Shown.of(dataset, seed))
    return {str(setting): fit()(items) for setting, fit in candidates}


def items_of(dataset: Dataset) -> np.ndarray:
    if dataset.card.level == "link":
        return dataset.store.pairs.numpy()
    return np.arange(len(dataset.store.y))


@pytest.mark.parametrize(("name", "level", "kind"), CASES)
def test_labels_of_validation_and_test_say_nothing(name: str, level: str, kind: str) -> None:
    dataset = DATA[level](kind)
    before = said(name, dataset, items_of(dataset))
    others = torch.cat([dataset.split.valid, dataset.split.test])
    y = dataset.store.y.clone()
    y[others] = 1 - y[others] if level == "link" else y[others.flip(0)]
    assert not torch.equal(y.nan_to_num(), dataset.store.y.nan_to_num())
    changed = replace(dataset, store=replace(dataset.store, y=y, memo={}))
    for setting, answers in said(name, changed, items_of(dataset)).items():
        np.testing.assert_array_equal(answers, before[setting], setting)


@pytest.mark.parametrize(("name", "level", "kind"), CASES)
def test_answers_are_of_the_form_that_is_stated(name: str, level: str, kind: str) -> None:
    dataset = DATA[level](kind)
    items = items_of(dataset)
    found = [*floor_of(name, dataset).candidates(Shown.of(dataset, 0))]
    assert len({str(setting) for setting, _ in found}) == len(found) > 1
    for answers in said(name, dataset, items).values():
        assert answers.shape == (len(items), dataset.spec.num_outputs)
        assert np.isfinite(answers).all()
        if kind in ("classes", "tasks"):
            assert (answers >= 0).all() and (answers <= 1 + 1e-9).all()
        if kind == "classes":
            np.testing.assert_allclose(answers.sum(1), 1)


@pytest.mark.parametrize(("name", "level", "kind"), CASES)
def test_seeds_matter_where_a_floor_says_that_it_draws(name: str, level: str, kind: str) -> None:
    dataset = DATA[level](kind)
    items = items_of(dataset)
    one, again, other = (said(name, dataset, items, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(one[key], again[key]) for key in one)
    differ = any(not np.array_equal(one[key], other[key]) for key in one)
    assert differ == floor_of(name, dataset).draws


def test_one_file_for_each() -> None:
    files = [read_yaml(path)["model"]["_target_"] for path in floors().values()]
    modules = [target.rpartition(".")[0] for target in files]
    assert len({*modules}) == len(modules)
    for name, module in zip(floors(), modules, strict=True):
        assert module == f"gbench.floors.{name.replace('-', '_')}"
