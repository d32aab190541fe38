"""Patches against their definition on dense matrices and networkx, and how they are drawn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gbench.config.compose import compose
from gbench.data.dataset import Dataset
from gbench.data.load import load
from gbench.data.patches import metis
from gbench.data.patches.grow import grown
from gbench.data.patches.metis import STATIC, Graphs, assign
from gbench.data.patches.patch_set import Patches, Patching
from gbench.data.patches.patching import cut, patched
from gbench.data.source import Graph
from gbench.data.spec import DataCard
from gbench.data.store import GraphStore, pack
from gbench.errors import UserError
from gbench.kernels import spmm
from gbench.kernels.csr import CSR
from gbench.train import sources
from gbench.train.loader import TrainingBatches

SIZES = [1, 3, 40, 17, 2, 33, 60, 7]


def draw(sizes: list[int], *, undirected: bool = True, seed: int = 0) -> GraphStore:
    """Sparse graphs of several parts each, with loops and isolated nodes."""
    random = np.random.RandomState(seed)
    graphs = []
    for size in sizes:
        dense = random.rand(size, size) < 1.8 / size
        if undirected:
            dense |= dense.T
        edge_index = torch.from_numpy(np.argwhere(dense).T.copy())
        graphs.append(Graph(torch.ones(size, 1), edge_index, torch.tensor([0])))
    return pack(graphs)


def arrays_of(store: GraphStore) -> Graphs:
    union, node_ptr = store.union()
    return Graphs(node_ptr.long().numpy(), union.rowptr.long().numpy(), store.col.numpy())


def parts_of(
    store: GraphStore,
    ids: list[int],
    num_parts: int,
    edge_dropout: float = 0.0,
    seed: int = STATIC,
    partition: str = "metis",
) -> np.ndarray:
    return assign(arrays_of(store), np.array(ids), num_parts, partition, edge_dropout, seed)


def dense_of(csr: CSR) -> np.ndarray:
    out = np.zeros((csr.num_rows, csr.num_cols))
    np.add.at(out, (csr.row.numpy(), csr.col.long().numpy()), 1)
    return out


def transposes_agree(csr: CSR) -> None:
    expected, _ = CSR.from_edge_index(csr.edge_index, csr.num_rows, csr.num_cols)
    for name in ("rowptr", "col", "rowptr_t", "col_t", "perm_t"):
        assert torch.equal(getattr(csr, name), getattr(expected, name)), name


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    num_patches=st.integers(1, 12),
    hops=st.integers(0, 2),
    undirected=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40)
def test_patches_are_what_the_definition_says(sizes, num_patches, hops, undirected, seed):
    store = draw(sizes, undirected=undirected, seed=seed)
    ids = np.random.RandomState(seed).randint(0, len(sizes), size=3)
    batch = store.batch(torch.from_numpy(ids))
    nodes = batch.num_nodes
    part = np.random.RandomState(seed + 1).randint(0, num_patches, nodes).astype(np.int16)
    patches = grown(arrays_of(store), ids, part, num_patches, hops)
    for csr in (patches.members, patches.graph):
        degrees = torch.cat([csr.in_degree, csr.out_degree])
        assert csr.longest == int(degrees.max())
    patching = Patching(num_patches, hops, walk_steps=3)
    walks = cut(arrays_of(store), ids, part, patching).walks
    assert torch.equal(walks, patches.random_walk(3))

    # M: a node is in a patch if a node of the patch's part is at most `hops` edges away
    own = np.zeros((3 * num_patches, nodes))
    own[batch.batch.numpy() * num_patches + part, np.arange(nodes)] = 1
    adjacency = dense_of(batch.graph)
    step = np.eye(nodes) + adjacency + adjacency.T
    members = (own @ np.linalg.matrix_power(step, hops) > 0).astype(float)
    np.testing.assert_array_equal(dense_of(patches.members), members)
    transposes_agree(patches.members)
    assert (members.sum(axis=0) >= 1).all()  # every node is in a patch

    # the copies' graph: the edges of the batch among the nodes of each patch, and no others
    rows = np.repeat(np.arange(3 * num_patches), np.diff(patches.members.rowptr))
    copies = patches.members.col.long().numpy()
    same_patch = rows[:, None] == rows[None, :]
    np.testing.assert_array_equal(
        dense_of(patches.graph), adjacency[np.ix_(copies, copies)] * same_patch
    )
    transposes_agree(patches.graph)
    source, target = batch.edge_index[:, patches.edge.long()].numpy()
    np.testing.assert_array_equal(copies[patches.graph.col.long()], source)
    np.testing.assert_array_equal(copies[patches.graph.row], target)
    if hops:  # every edge is in a patch
        assert set(patches.edge.tolist()) == set(range(batch.graph.num_entries))

    blocks = members.reshape(3, num_patches, nodes)
    np.testing.assert_array_equal(patches.coarse, blocks @ blocks.transpose(0, 2, 1))
    assert torch.equal(patches.coarse, patches.coarse.mT)
    np.testing.assert_array_equal(patches.mask, blocks.any(axis=2))


def test_one_hop_of_overlap_is_the_closed_neighbourhood_that_networkx_tells():
    store = draw([40], seed=3)
    part = parts_of(store, [0], 6)
    patches = grown(arrays_of(store), np.array([0]), part, 6, 1)
    graph = nx.Graph(store.whole().edge_index.t().tolist())
    graph.add_nodes_from(range(40))
    for p in range(6):
        begin, end = patches.members.rowptr[p : p + 2]
        cut = np.flatnonzero(part == p).tolist()
        expected = set(cut).union(*(graph[node] for node in cut))
        assert set(patches.members.col[begin:end].tolist()) == expected
        entries = patches.graph.rowptr[end] - patches.graph.rowptr[begin]
        induced = graph.subgraph(expected)
        loops = nx.number_of_selfloops(induced)
        assert int(entries) == 2 * induced.number_of_edges() - loops


def cut_edges(store: GraphStore, part: np.ndarray) -> int:
    source, target = store.whole().edge_index.numpy()
    return int((part[source] != part[target]).sum())


def test_metis_balances_its_parts_and_cuts_few_edges():
    side = 16
    grid = nx.convert_node_labels_to_integers(nx.grid_2d_graph(side, side))
    edges = torch.tensor([*grid.edges, *[(b, a) for a, b in grid.edges]]).t()
    store = pack([Graph(torch.ones(side**2, 1), edges, torch.tensor([0]))])
    part = parts_of(store, [0], 16)
    sizes = np.bincount(part, minlength=16)
    assert sizes.min() >= 12 and sizes.max() <= 20  # 16 each, were it exact
    # blocks of 4 × 4 cut 6 · 16 = 96 edges; shuffled nodes would cut 15 of 16
    assert cut_edges(store, part) / 2 <= 130
    shuffled = parts_of(store, [0], 16, partition="random")
    assert np.bincount(shuffled).tolist() == [16] * 16
    assert cut_edges(store, shuffled) / 2 > 400


@pytest.mark.parametrize("partition", ["metis", "metis-fixed", "random"])
@pytest.mark.parametrize("num_parts", [1, 8, 32])
def test_the_last_part_has_nodes_and_small_graphs_have_one_in_each(partition, num_parts):
    store = draw(SIZES)
    ids = [6, 0, 3, 1, 2, 6]
    part = parts_of(store, ids, num_parts, edge_dropout=0.3, seed=1, partition=partition)
    assert part.dtype == np.int16
    for rows in np.split(part, np.cumsum([SIZES[i] for i in ids])[:-1]):
        assert rows.min() >= 0 and rows.max() == num_parts - 1
        if rows.size < num_parts:
            assert np.unique(rows).size == rows.size


def test_the_patches_of_small_graphs_are_any_of_them():
    """Of three nodes in eight patches all occur, and each about as often: the last one always."""
    store = draw([3] * 400)
    part = parts_of(store, list(range(400)), 8, seed=0).reshape(400, 3)
    times = np.bincount(part.ravel(), minlength=8)
    assert times[7] == 400
    assert (times[:7] > 40).all()
    assert len({tuple(row) for row in part.tolist()}) > 60


@pytest.mark.parametrize("num_parts", [3, 8, 32])
def test_fixed_parts_of_equal_graphs_are_equal_and_those_of_small_ones_in_order(num_parts):
    """As the trees of the Mixer's authors: a part has a place that all graphs share."""
    edges = torch.tensor([[1, 2, 3, 4, 5, 6], [0, 0, 1, 1, 2, 2]])
    trees = [Graph(torch.ones(7, 1), edges, torch.tensor([0]))] * 50
    store, ids = pack(trees), list(range(50))
    fixed = parts_of(store, ids, num_parts, seed=5, partition="metis-fixed").reshape(50, 7)
    assert (fixed == fixed[0]).all()
    if num_parts > 7:
        assert fixed[0].tolist() == list(range(num_parts - 7, num_parts))
    drawn = parts_of(store, ids, num_parts, seed=5).reshape(50, 7)
    assert (drawn != drawn[0]).any()


def test_parts_depend_on_the_seed_and_the_graph_and_on_nothing_else():
    store = draw(SIZES)
    together = parts_of(store, [2, 6, 3, 5], 8, edge_dropout=0.3, seed=11)
    alone = [parts_of(store, [i], 8, edge_dropout=0.3, seed=11) for i in (2, 6, 3, 5)]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    other = parts_of(store, [2, 6, 3, 5], 8, edge_dropout=0.3, seed=12)
    assert (other != together).any()


@pytest.mark.parametrize("undirected", [True, False])
def test_dropout_takes_entries_and_loses_an_edge_with_both(undirected, monkeypatch):
    """An entry is kept with 0.7, so that an edge of both directions is lost with 0.3² = 0.09."""
    seen: list[tuple[int, int]] = []

    def watch(ptr: np.ndarray, col: np.ndarray, num_parts: int, seed: int) -> np.ndarray:
        row = np.repeat(np.arange(ptr.size - 1), np.diff(ptr))
        assert (row != col).all()  # no loops
        pairs = set(zip(row.tolist(), col.tolist(), strict=True))
        assert len(pairs) == row.size and pairs == {(b, a) for a, b in pairs}  # simple, undirected
        seen.append((ptr.size - 1, row.size // 2))
        return np.zeros(ptr.size - 1)

    monkeypatch.setattr(metis, "_metis", watch)
    random = np.random.RandomState(0)
    dense = random.rand(300, 300) < 0.1
    dense = (dense | dense.T) if undirected else np.triu(dense, 1)
    edge_index = torch.from_numpy(np.argwhere(dense).T.copy())
    store = pack([Graph(torch.ones(300, 1), edge_index, torch.tensor([0]))])
    edges = int(np.triu(dense, 1).sum())
    parts_of(store, [0], 8)
    assert seen.pop() == (300, edges)
    kept = []
    for seed in range(20):
        parts_of(store, [0], 8, edge_dropout=0.3, seed=seed)
        kept.append(seen.pop()[1] / edges)
    expected = 0.91 if undirected else 0.7
    assert np.mean(kept) == pytest.approx(expected, abs=0.004)
    assert len(set(kept)) > 10


def test_copies_of_a_node_are_averaged_and_come_back():
    store = draw([20, 5])
    ids = np.array([1, 0])
    patches = grown(arrays_of(store), ids, parts_of(store, [1, 0], 4), 4, 1)
    transposes_agree(patches.copies)
    x = torch.randn(25, 3, dtype=torch.float64)
    spread = x[patches.members.col.long()]
    torch.testing.assert_close(spmm(patches.copies, spread, reduce="mean"), x)
    torch.testing.assert_close(
        spmm(patches.members, x), torch.from_numpy(dense_of(patches.members)) @ x
    )


def test_random_walks_on_the_coarse_matrix_are_powers():
    store = draw([20, 2])
    patches = grown(arrays_of(store), np.array([0, 1]), parts_of(store, [0, 1], 5), 5, 1)
    got = patches.random_walk(4)
    for b in range(2):
        coarse = patches.coarse[b].double()
        step = coarse / coarse.sum(1, keepdim=True).clamp(min=1)
        powers = [torch.linalg.matrix_power(step, k).diagonal() for k in (1, 2, 3, 4)]
        torch.testing.assert_close(got[b], torch.stack(powers, 1).float())
    assert not patches.mask[1].all() and not got[1][~patches.mask[1]].any()


# ---- in training ----


@pytest.fixture(autouse=True)
def rounds_without_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gbench.train.loader.ROUND_SECONDS", 600.0)


@pytest.fixture
def csl(shared_cache: Path) -> Dataset:
    return load(DataCard.from_config(compose(["data=csl"])["data"]), Path("unused"), shared_cache)


GRAPHS = sources.Graphs(30)


def training(dataset: Dataset, *, seed: int = 0, epochs: int = 2) -> TrainingBatches:
    return TrainingBatches(
        dataset,
        GRAPHS,
        seed=seed,
        limit=0,
        rank=0,
        world_size=1,
        next_epoch=lambda: 0,
        max_epochs=epochs,
    )


def drawn_graphs(dataset: Dataset, epoch: int) -> Sequence[torch.Tensor]:
    """The graphs of each batch of an epoch."""
    generator = sources.Share(0, 3, 0, 1, 2).generator(epoch)
    return GRAPHS.chunks(dataset.split.train, 3, generator)


def told(patches: Patches | None) -> tuple[list[int], list[int], list[int]]:
    assert patches is not None
    return patches.members.col.tolist(), patches.members.rowptr.tolist(), patches.edge.tolist()


def test_training_batches_have_patches_drawn_anew_in_each_epoch(csl, tmp_path, monkeypatch):
    dataset = patched(csl, Patching(8, edge_dropout=0.3), tmp_path)
    batches = [*training(dataset)]
    assert len(batches) == 6
    ids = [*drawn_graphs(dataset, 0), *drawn_graphs(dataset, 1)]
    arrays = arrays_of(csl.store)
    for number, (batch, chunk) in enumerate(zip(batches, ids, strict=True)):
        part = assign(arrays, chunk.numpy(), 8, "metis", 0.3, number // 3)
        assert told(batch.patches) == told(grown(arrays, chunk.numpy(), part, 8, 1))
        assert batch.patches.members.num_cols == batch.num_nodes
    for processes in (1, 3):  # the same from any number of processes, and in a run that goes on
        again = patched(csl, Patching(8, edge_dropout=0.3), tmp_path)
        monkeypatch.setattr(again.patcher, "processes", processes)
        rest = training(again)
        rest.next_epoch = lambda: 1
        assert [told(b.patches) for b in rest] == [told(b.patches) for b in batches[3:]]
        again.patcher.pool.shutdown()
    drawn = {tuple(told(b.patches)[0]) for b in training(dataset, seed=1)}
    assert drawn.isdisjoint({tuple(told(b.patches)[0]) for b in batches})
    dataset.patcher.pool.shutdown()


def test_evaluation_drops_nothing_and_is_the_same_in_every_run(csl, tmp_path):
    dataset = patched(csl, Patching(8, edge_dropout=0.3), tmp_path)
    ids = csl.split.valid
    expected = grown(arrays_of(csl.store), ids.numpy(), parts_of(csl.store, ids.tolist(), 8), 8, 1)
    (batch,) = GRAPHS.evaluation(dataset, ids, 512)
    assert told(batch.patches) == told(expected)
    first, second = GRAPHS.evaluation(dataset, ids, 20)
    assert (first.num_graphs, second.num_graphs) == (20, 10)
    assert first.patches.coarse.shape == (20, 8, 8)
    dataset.patcher.pool.shutdown()

    files = [*tmp_path.rglob("parts-*.pt")]
    assert len(files) == 1
    before = files[0].stat().st_mtime_ns
    again = patched(csl, Patching(8, edge_dropout=0.3), tmp_path)
    assert files[0].stat().st_mtime_ns == before and "pool" not in vars(again.patcher)
    patched(csl, Patching(8, hops=2), tmp_path)
    assert len([*tmp_path.rglob("parts-*.pt")]) == 1  # hops come after the cut
    patched(csl, Patching(7), tmp_path).patcher.pool.shutdown()
    assert len([*tmp_path.rglob("parts-*.pt")]) == 2


def test_without_dropout_training_needs_no_process(csl, tmp_path):
    patched(csl, Patching(8), tmp_path).patcher.pool.shutdown()
    dataset = patched(csl, Patching(8), tmp_path)
    batches = [*training(dataset)]
    ids = drawn_graphs(dataset, 1)[0]
    (static,) = GRAPHS.evaluation(dataset, ids, 512)
    assert told(batches[3].patches) == told(static.patches)
    assert "pool" not in vars(dataset.patcher)


class Reader(torch.nn.Module):
    """A model that does nothing but read its patches."""

    def __init__(self, spec: object, *, num_patches: int) -> None:
        super().__init__()
        self.patching = Patching(num_patches, edge_dropout=0.5)
        self.head = torch.nn.Linear(8, 10)

    def forward(self, batch: object) -> Tensor:
        assert batch.patches is not None
        return self.head(batch.patches.random_walk(8).mean(dim=1))


def test_a_model_that_has_a_patching_trains_on_patches(tmp_path, monkeypatch):
    own = tmp_path / "conf" / "model"
    own.mkdir(parents=True)
    (own / "reader.yaml").write_text(
        f"# @package _global_\n# Reads its patches\nmodel:\n"
        f"  _target_: {__name__}.Reader\n  levels: [node, graph]\n  num_patches: 8\n"
    )
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Reader.__module__])
    from gbench.build import build_task

    def task(*words: str):
        config = compose(["model=reader", f"cache_dir={tmp_path}", *words], [tmp_path / "conf"])
        return build_task(config)

    built = task("data=csl")
    assert 0 <= built.evaluate("valid") <= 1
    built.dataset.patcher.pool.shutdown()
    with pytest.raises(UserError, match="csbm is one graph"):
        task("data=csbm")
    with pytest.raises(UserError, match=r"model\.num_patches=0: allowed is a number at least 1"):
        task("data=csl", "model.num_patches=0")


def test_without_pymetis_the_error_says_what_to_install(csl, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymetis", None)
    with pytest.raises(UserError, match=r"pip install pymetis, or take model\.partition=random"):
        patched(csl, Patching(8), tmp_path)
    patched(csl, Patching(8, partition="random"), tmp_path).patcher.pool.shutdown()


def test_a_killed_process_is_one_clear_error(csl, tmp_path):
    dataset = patched(csl, Patching(8, edge_dropout=0.3), tmp_path)
    for pid in dataset.patcher.pool._processes:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(UserError, match="a process that cuts patches was killed"):
        [*training(dataset)]


def test_processes_end_when_the_program_is_killed(tmp_path, wait_until):
    """3 s: it starts Python twice."""
    script = tmp_path / "program.py"
    script.write_text(
        "import multiprocessing, time\n"
        "import numpy as np\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from gbench.data.patches import metis\n"
        "if __name__ == '__main__':\n"
        "    graphs = metis.Graphs(np.arange(2), np.zeros(2, int), np.zeros(0, int))\n"
        "    spawn = multiprocessing.get_context('spawn')\n"
        "    pool = ProcessPoolExecutor(1, spawn, metis.start_process, (graphs,))\n"
        "    pool.submit(metis.assign_here, np.array([0]), 4, 'metis', 0.0, 0).result()\n"
        "    print(*pool._processes, flush=True)\n"
        "    time.sleep(1e6)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as program:
        worker = int(program.stdout.readline())
        heavy = Path(f"/proc/{worker}/maps").read_text()
        assert "torch" not in heavy and "llvmlite" not in heavy
        program.kill()
    wait_until(lambda: not Path(f"/proc/{worker}").exists())
