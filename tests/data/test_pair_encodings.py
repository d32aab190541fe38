"""Encodings of pairs of nodes: packed by graph, cut with the batches, bounded before they are made.

The oracle of a batch is each of its graphs alone; that of a bound is its own arithmetic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.data.dataset import Dataset
from gbench.data.encodings import pair_bounds
from gbench.data.encodings.encode import encoded
from gbench.data.pair_memory import with_pairs_told
from gbench.data.spec import DataCard
from gbench.data.store import GraphStore, pack
from gbench.errors import UserError
from gbench.train.capturing import _unframed
from gbench.train.sources import Graphs, within

OWN = """
import torch
calls = []
def joined(graph, node_ptr, *, times=1.0):
    '''Whether j sends to i, and whether they are one.'''
    calls.append(graph.num_rows)
    rows = []
    dense = torch.zeros(graph.num_rows, graph.num_rows)
    dense[graph.edge_index[1], graph.edge_index[0]] = times
    for first, last in zip(node_ptr.tolist(), node_ptr.tolist()[1:]):
        values = torch.stack([dense[first:last, first:last], torch.eye(last - first)], 2)
        rows.append(values.flatten(0, 1))
    return torch.cat(rows)
def of_nodes(graph, node_ptr):
    return graph.in_degree.float().unsqueeze(1)
def far(graph, node_ptr):
    values = joined(graph, node_ptr)
    values[5, 1] = float("inf")
    return values
def nothing(graph, node_ptr):
    return None
"""
JOINED = {"name": "joined", "_target_": "own_pairs.joined", "values": "pairs"}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[int]]]:
    (tmp_path / "own_pairs.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield lambda: sys.modules["own_pairs"].calls if "own_pairs" in sys.modules else []
    sys.modules.pop("own_pairs", None)


def a_dataset(level: str = "graph") -> Dataset:
    stands_for, make = {"graph": ("csl", tiny.graphs), "node": ("csbm", tiny.nodes)}[level]
    config = compose([f"data={stands_for}", "model=gcn", "experiment=null"])
    return replace(make(DataCard.from_config(config["data"])), fingerprint="f" * 64)


def dense(store: GraphStore, index: int) -> Tensor:
    """Whether j sends to i, of one graph. Shapes: → (n, n)."""
    batch = store.batch(torch.tensor([index]))
    expected = torch.zeros(batch.num_nodes, batch.num_nodes)
    expected[batch.edge_index[1], batch.edge_index[0]] = 1
    return expected


def test_a_batch_has_the_pairs_of_its_graphs_receiver_by_receiver(own, tmp_path: Path) -> None:
    dataset = encoded(a_dataset(), JOINED, tmp_path)
    assert dataset.spec.pair_dim == 2 and dataset.spec.pe_dim == 0 and dataset.store.pe is None
    chunks = [torch.tensor(ids, dtype=torch.int64) for ids in ([3, 0, 8, 3], [6], [], [11, 9])]
    for batch, ids in zip(dataset.store.batches(chunks), chunks, strict=True):
        sizes = batch.node_ptr.diff().long()
        assert batch.pair_ptr.dtype == torch.int64 and batch.pairs.dtype == torch.float32
        assert torch.equal(batch.pair_ptr.diff(), sizes**2) and batch.pair_ptr[0] == 0
        assert batch.pairs.shape == (int((sizes**2).sum()), 2)
        for place, index in enumerate(ids.tolist()):
            n, rows = int(sizes[place]), slice(*batch.pair_ptr[place : place + 2].tolist())
            values = batch.pairs[rows].view(n, n, 2)
            assert torch.equal(values[:, :, 0], dense(dataset.store, index))
            assert torch.equal(values[:, :, 1], torch.eye(n))


def test_of_one_graph_they_are_the_whole(own, tmp_path: Path) -> None:
    dataset = encoded(a_dataset("node"), JOINED, tmp_path)
    batch = dataset.store.whole()
    assert torch.equal(batch.pairs[:, 0].view(30, 30), dense(dataset.store, 0))
    assert batch.pair_ptr.tolist() == [0, 900]
    assert batch.with_targets(torch.tensor([2])).pairs is batch.pairs
    assert dataset.store.num_bytes > 900 * 2 * 4


def test_they_are_computed_once_and_mapped_into_memory(own, tmp_path: Path) -> None:
    first = encoded(a_dataset(), JOINED, tmp_path)
    calls = len(own())
    second = encoded(a_dataset(), JOINED, tmp_path)
    assert len(own()) == calls and torch.equal(first.store.pair_values, second.store.pair_values)
    with Path("/proc/self/maps").open() as maps:
        assert any("joined-" in line for line in maps)
    other = encoded(a_dataset(), {**JOINED, "times": 2.0}, tmp_path)
    assert len(own()) > calls and other.store.pair_values.max() == 2


def test_several_stand_side_by_side_each_from_a_file_of_its_own(own, tmp_path: Path) -> None:
    degree = {"_target_": "own_pairs.of_nodes"}
    rwse = {"_target_": "gbench.data.encodings.random_walk.return_probabilities", "steps": 3}
    waves = {
        "_target_": "gbench.data.encodings.laplacian.eigenvectors",
        "dim": 2,
        "random_signs": True,
    }
    double = {**JOINED, "name": "double", "times": 2.0}
    together = {
        "name": "degree+rwse+joined+lappe+double",
        "degree": degree,
        "rwse": rwse,
        "joined": JOINED,
        "lappe": waves,
        "double": double,
    }
    plain = a_dataset()
    alone = encoded(plain, {"name": "rwse", **rwse}, tmp_path)
    files = {path.name for path in tmp_path.rglob("rwse-*.pt")}
    dataset = encoded(plain, together, tmp_path)
    assert {path.name for path in tmp_path.rglob("rwse-*.pt")} == files
    assert dataset.spec.encodings == (("degree", 1), ("rwse", 3), ("lappe", 2))
    assert dataset.spec.pe_dim == 6 and dataset.spec.pair_dim == 4
    assert dataset.spec.pair_encodings == (("joined", 2), ("double", 2))
    assert torch.equal(dataset.store.pe[:, 1:4], alone.store.pe)
    assert torch.equal(2 * dataset.store.pair_values[:, 0], dataset.store.pair_values[:, 2])
    assert dataset.random_signs == (False,) * 4 + (True,) * 2
    assert alone.random_signs == () and alone.spec.encodings == (("rwse", 3),)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"_target_": "own_pairs.of_nodes"}, r"\(86, 1\).*\(604, K\), a row for each pair.*nodes"),
        ({"_target_": "own_pairs.joined", "values": "node"}, "values is 'node', allowed are nodes"),
        ({"_target_": "own_pairs.joined", "values": "nodes"}, r"\(86, K\).*values: pairs"),
        ({"_target_": "own_pairs.far"}, "returned inf in row 5: every value has to be a finite"),
        ({"_target_": "own_pairs.nothing"}, "returned NoneType, expected a tensor"),
    ],
)
def test_what_is_no_values_of_pairs_is_the_users_error(own, tmp_path: Path, settings, says) -> None:
    dataset = a_dataset()
    nodes, pairs = dataset.store.num_nodes, int(dataset.store.first_pair[-1])
    says = says.replace("86", str(nodes)).replace("604", str(pairs))
    with pytest.raises(UserError, match=says):
        encoded(dataset, {**JOINED, **settings}, tmp_path)
    assert not [*tmp_path.rglob("joined-*.pt")]


def test_more_pairs_than_a_machine_holds_are_refused_before_anything_is_computed(
    own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = a_dataset()
    sizes = torch.full_like(dataset.store.ranges[2], 1)
    sizes[3] = 10_000
    ranges = torch.stack([*dataset.store.ranges[:2], sizes, dataset.store.ranges[3]])
    large = replace(dataset, store=replace(dataset.store, ranges=ranges))
    says = r"10,000 nodes has 100,000,000 pairs of nodes, 0\.4 GB .*at most 50,000,000 pairs.*=rwse"
    with pytest.raises(UserError, match=says):
        encoded(large, JOINED, tmp_path)
    assert not own()
    monkeypatch.setattr(pair_bounds, "machine_bytes", lambda: 1_000_000_000)
    monkeypatch.setenv("GBENCH_MOST_PAIRS", "100000000")
    says = r"100,000,011 pairs of nodes of csl have 2 values each, 0\.8 GB.*half of.* 1\.0 GB"
    with pytest.raises(UserError, match=says):
        encoded(large, JOINED, tmp_path)
    assert own() == [2]  # two nodes told how many values there are
    monkeypatch.setenv("GBENCH_MOST_PAIRS", "many")
    with pytest.raises(UserError, match="GBENCH_MOST_PAIRS=many: expected a whole number"):
        encoded(dataset, JOINED, tmp_path)


def test_what_has_no_room_for_them_is_told_before_data_are_loaded(own, tmp_path: Path) -> None:
    words = ["model=gcn", "encoding=[rwse,rrwp]"]
    says = r"encoding=rrwp has values for all pairs of nodes, and ogbl-ddi is link-level"
    with pytest.raises(UserError, match=says):
        compose(["data=ogbl-ddi", *words])
    says = r"batching=neighbours: encoding=rrwp.*take batching=full"
    with pytest.raises(UserError, match=says):
        compose(["data=csbm", "batching=neighbours", *words])
    dataset = a_dataset("node")
    links = replace(dataset, card=replace(dataset.card, level="link"))
    with pytest.raises(UserError, match=r"encoding=joined has values for all pairs.*link-level"):
        encoded(links, JOINED, tmp_path)


def test_steps_with_them_are_not_captured(own, tmp_path: Path) -> None:
    task = build_task(compose(["data=csl", "model=gin", f"cache_dir={tmp_path}"]))
    reason = "each batch of graphs has another number of pairs of nodes"
    assert not _unframed(task)[reason]
    task.dataset = encoded(a_dataset(), JOINED, tmp_path)
    assert _unframed(task)[reason]


def test_evaluation_takes_so_many_pairs_at_once(
    own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = encoded(a_dataset(), JOINED, tmp_path)
    ids = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7])
    sizes = dataset.store.ranges[2].long().square()  # 81 49 36 25 81 64 1 49
    for most, groups in ((10**9, [5, 3]), (130, [2, 2, 1, 3]), (1, [1] * 8)):
        monkeypatch.setattr("gbench.train.sources.EVALUATION_PAIRS", most)
        batches = [*Graphs(32).evaluation(dataset, ids, 5)]
        assert [batch.num_graphs for batch in batches] == groups
        assert torch.equal(torch.cat([batch.y for batch in batches]), dataset.store.y[ids])
    assert [batch.num_graphs for batch in Graphs(32).evaluation(dataset, ids, 5, 1)] == [1] * 5
    assert [c.tolist() for c in within([ids], sizes, 130)] == [[0, 1], [2, 3], [4], [5, 6, 7]]
    plain = a_dataset()
    assert [batch.num_graphs for batch in Graphs(32).evaluation(plain, ids, 5)] == [5, 3]


def test_a_store_without_them_says_nothing_of_pairs() -> None:
    store = pack([tiny.connected_and_not()[0]])
    batch = store.batch(torch.tensor([0]))
    assert batch.pairs is None and batch.pair_ptr is None
    assert store.whole().pairs is None and store.whole().pair_ptr is None


def test_a_training_batch_is_told_and_refused_where_memory_does_not_hold_it(
    own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = encoded(a_dataset(), JOINED, tmp_path)  # trained on 9 7 6 5 9 8 nodes
    (note,) = with_pairs_told(dataset, 3).notes
    assert "a batch of 3 graphs has about 168, the largest graph 81;" in note
    (note,) = with_pairs_told(dataset, 100).notes
    assert "a batch of 6 graphs has about 336" in note
    assert with_pairs_told(a_dataset(), 3).notes == ()
    monkeypatch.setattr("gbench.data.pair_memory.free_bytes", lambda: 1000)
    with pytest.raises(UserError, match=r"their 2 values: take a smaller optim\.batch_size"):
        with_pairs_told(dataset, 3)
