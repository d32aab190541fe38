"""Encodings against PyG, networkx and dense powers; their cache; their signs in training."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import AddRandomWalkPE

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.config.identity import identity
from gbench.data.dataset import Dataset
from gbench.data.encodings import krylov, laplacian, random_walk
from gbench.data.encodings.encode import encoded
from gbench.data.encodings.laplacian import eigenvectors
from gbench.data.encodings.random_walk import return_probabilities
from gbench.data.files import cache
from gbench.data.load import load
from gbench.data.source import Graph
from gbench.data.spec import DataCard
from gbench.data.store import GraphStore, pack
from gbench.errors import UserError

RWSE = {
    "name": "rwse",
    "_target_": "gbench.data.encodings.random_walk.return_probabilities",
    "steps": 3,
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw(sizes: list[int], *, undirected: bool, seed: int = 0) -> list[Graph]:
    """Sparse graphs: of most several parts, some nodes isolated, some edges loops."""
    random = np.random.RandomState(seed)
    graphs = []
    for size in sizes:
        dense = random.rand(size, size) < 1.6 / size
        if undirected:
            dense |= dense.T
        edge_index = torch.from_numpy(np.argwhere(dense).T.copy())
        graphs.append(Graph(torch.ones(size, 1), edge_index, torch.tensor([0])))
    return graphs


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("steps", [1, 6, 7])
def test_random_walks_are_pygs(undirected: bool, steps: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(random_walk, "NODES_AT_ONCE", 16)  # pieces that end within a graph
    monkeypatch.setattr(random_walk, "MAX_BYTES", 16 * 120 * 10)
    graphs = draw([1, 2, 9, 30, 5, 70, 3], undirected=undirected)
    graph, node_ptr = pack(graphs).union()
    ours = return_probabilities(graph, node_ptr, steps=steps)
    transform = AddRandomWalkPE(steps, attr_name="pe")
    theirs = [transform(Data(edge_index=g.edge_index, num_nodes=g.x.size(0))).pe for g in graphs]
    assert ours.dtype == torch.float32 and ours.abs().sum() > 0
    torch.testing.assert_close(ours, torch.cat(theirs))
    as_one = return_probabilities(graph, node_ptr[[0, -1]], steps=steps)  # by dense products
    torch.testing.assert_close(as_one, torch.cat(theirs))


def test_random_walks_on_a_cycle_and_on_a_pair_of_nodes_have_closed_forms():
    cycle = [(i, (i + 1) % 5) for i in range(5)]
    edges = torch.tensor([*cycle, *[(j, i) for i, j in cycle]]).t()
    pair = torch.tensor([[0, 1], [1, 0]])
    store = pack(
        [Graph(torch.ones(n, 1), e, torch.tensor([0])) for n, e in ((5, edges), (2, pair))]
    )
    got = return_probabilities(*store.union(), steps=6)
    # back after k steps of ±1 modulo 5: C(k, k/2) / 2^k, and for k = 5 twice around the ring
    torch.testing.assert_close(got[0], torch.tensor([0, 1 / 2, 0, 3 / 8, 2 / 32, 5 / 16]))
    assert got[5].tolist() == [0, 1, 0, 1, 0, 1]


def dense_laplacian(graph: Graph) -> np.ndarray:
    drawn = nx.Graph()
    drawn.add_nodes_from(range(graph.x.size(0)))
    drawn.add_edges_from((a, b) for a, b in graph.edge_index.t().tolist() if a != b)
    return nx.normalized_laplacian_matrix(drawn, nodelist=range(graph.x.size(0))).toarray()


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("dense_nodes", [1000, 12], ids=["lapack", "krylov"])
def test_eigenvectors_are_those_of_networkx_laplacian(
    undirected: bool, dense_nodes: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(laplacian, "DENSE_NODES", dense_nodes)
    monkeypatch.setattr(laplacian, "DENSE_ENTRIES", 700)
    graphs = draw([3, 60, 1, 12, 60, 45, 12, 12, 2], undirected=undirected, seed=1)
    dim = 5
    ours = eigenvectors(*pack(graphs).union(), dim=dim).double().numpy()
    start = 0
    for graph in graphs:
        size = graph.x.size(0)
        vectors, start = ours[start : start + size], start + size
        matrix = dense_laplacian(graph)
        values = np.linalg.eigvalsh(matrix)
        wanted = values[values > 1e-9][:dim]
        kept, padding = vectors[:, : wanted.size], vectors[:, wanted.size :]
        np.testing.assert_allclose(kept.T @ kept, np.eye(wanted.size), atol=1e-6)
        np.testing.assert_allclose(matrix @ kept, kept * wanted, atol=1e-6)
        assert not padding.any()
        assert all(column[np.abs(column).argmax()] > 0 for column in kept.T)


def test_of_equal_eigenvalues_the_space_is_that_of_the_cycle_in_any_order_of_its_nodes():
    """Frequency k of a cycle occurs twice: its projector is 2/n cos(2πk(i - j)/n)."""
    size = 7
    order = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    for place in (torch.arange(size), order):
        ring = torch.stack([place, place.roll(-1)])
        graph = Graph(torch.ones(size, 1), torch.cat([ring, ring.flip(0)], 1), torch.tensor([0]))
        vectors = eigenvectors(*pack([graph]).union(), dim=6)[place]
        apart = (torch.arange(size).unsqueeze(1) - torch.arange(size)).double()
        for k in (1, 2, 3):
            pair = vectors[:, 2 * k - 2 : 2 * k].double()
            expected = 2 / size * (2 * torch.pi * k * apart / size).cos()
            torch.testing.assert_close(pair @ pair.T, expected, rtol=0, atol=1e-6)


def test_of_a_path_they_are_cosines():
    size = 7
    line = torch.stack([torch.arange(size - 1), torch.arange(1, size)])
    graph = Graph(torch.ones(size, 1), torch.cat([line, line.flip(0)], 1), torch.tensor([0]))
    got = eigenvectors(*pack([graph]).union(), dim=2)
    degree = torch.tensor([1.0, *[2.0] * (size - 2), 1.0])
    for k in (1, 2):
        wave = degree.sqrt() * torch.cos(torch.pi * k * torch.arange(size) / (size - 1))
        wave = wave / wave.norm()
        torch.testing.assert_close(got[:, k - 1].abs(), wave.abs(), atol=1e-6, rtol=1e-5)
        assert (got[:, k - 1] @ wave).abs() == pytest.approx(1, abs=1e-5)


def many(*parts: tuple[int, nx.Graph]) -> nx.Graph:
    return nx.disjoint_union_all(graph for count, graph in parts for _ in range(count))


AWKWARD = {
    "random": lambda: nx.gnm_random_graph(150, 300, seed=0),
    "star": lambda: nx.star_graph(120),
    "bipartite": lambda: nx.complete_bipartite_graph(20, 70),
    "complete": lambda: nx.complete_graph(70),
    "path": lambda: nx.path_graph(300),
    "cycle": lambda: nx.cycle_graph(200),
    "barbell": lambda: nx.barbell_graph(20, 90),
    "twins": lambda: nx.full_rary_tree(9, 150),
    "hypercube": lambda: nx.hypercube_graph(8),
    "equal-parts": lambda: many((20, nx.gnm_random_graph(30, 45, seed=2))),
    "equal-large-parts": lambda: many((12, nx.random_regular_graph(3, 60, seed=2))),
    "stars": lambda: many((30, nx.star_graph(9)), (3, nx.empty_graph(1))),
    "paths-of-3": lambda: many((50, nx.path_graph(3))),
    "two-large": lambda: many((2, nx.star_graph(90)), (1, nx.path_graph(40))),
    "no-edges": lambda: nx.empty_graph(100),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_of_large_graphs_too_they_are_the_smallest_each_as_often_as_it_occurs(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(laplacian, "DENSE_NODES", 50)
    drawn, dim = nx.convert_node_labels_to_integers(AWKWARD[name]()), 8
    size = drawn.number_of_nodes()
    shuffled = np.random.RandomState(0).permutation(size)  # parts are not runs of nodes
    edges = torch.from_numpy(shuffled[np.array(drawn.edges(), int).reshape(-1, 2).T])
    graph = Graph(torch.ones(size, 1), edges, torch.tensor([0]))
    matrix = dense_laplacian(graph)
    values = np.linalg.eigvalsh(matrix)
    wanted = values[nx.number_connected_components(drawn) :][:dim]
    first = eigenvectors(*pack([graph]).union(), dim=dim)
    vectors = first.double().numpy()
    np.testing.assert_allclose(
        matrix @ vectors[:, : wanted.size], vectors[:, : wanted.size] * wanted, atol=1e-6
    )
    is_found = np.arange(dim) < wanted.size
    np.testing.assert_allclose(vectors.T @ vectors, np.diag(is_found.astype(float)), atol=1e-6)
    assert torch.equal(eigenvectors(*pack([graph]).union(), dim=dim), first)


LARGE = """
import networkx as nx, torch
from gbench.data.encodings.laplacian import eigenvectors
from gbench.kernels.csr import CSR
drawn = nx.disjoint_union(nx.star_graph(1200), nx.gnm_random_graph(1500, 4000, 0))
edges = torch.tensor(list(drawn.edges())).T
pe = eigenvectors(CSR.from_edge_index(edges, 2701)[0], torch.tensor([0, 2701]), dim=8)
"""


def test_eigenvectors_of_a_large_graph_are_the_same_in_another_process(tmp_path: Path):
    """Whatever ran before, and however many threads BLAS has."""
    here: dict[str, Any] = {}
    exec(LARGE, here)
    subprocess.run(
        [sys.executable, "-c", f"{LARGE}torch.save(pe, {str(tmp_path / 'pe')!r})"],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        check=True,
    )
    assert torch.equal(torch.load(tmp_path / "pe"), here["pe"])


def test_eigenvectors_that_do_not_converge_are_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(krylov, "TOLERANCE", 0.0)
    monkeypatch.setattr(krylov, "MAX_CYCLES", 2)
    monkeypatch.setattr(laplacian, "DENSE_NODES", 9)
    ring = torch.stack([torch.arange(30), (torch.arange(30) + 1) % 30])
    graph = Graph(torch.ones(30, 1), ring, torch.tensor([0]))
    with pytest.raises(UserError, match=r"30 nodes did not converge.*encoding\.dim="):
        eigenvectors(*pack([graph]).union(), dim=2)


@pytest.mark.parametrize("undirected", [True, False])
def test_the_union_is_the_batch_of_all_graphs(undirected: bool):
    store = pack(draw([4, 1, 9, 9], undirected=undirected))
    graph, node_ptr = store.union()
    batch = store.batch(torch.arange(4))
    for name in ("rowptr", "col", "rowptr_t", "col_t", "perm_t"):
        assert torch.equal(getattr(graph, name), getattr(batch.graph, name)), name
    assert torch.equal(node_ptr, batch.node_ptr)


def test_batches_carry_the_rows_of_their_nodes():
    graphs = draw([4, 1, 9, 2], undirected=True)
    store = pack(graphs)
    assert store.batch(torch.tensor([2, 0])).pe is None
    pe = torch.randn(store.num_nodes, 3)
    store = GraphStore(store.level, **store.tensors(), pe=pe)
    batch = store.batch(torch.tensor([2, 0, 2]))
    assert torch.equal(batch.pe, torch.cat([pe[5:14], pe[:4], pe[5:14]]))
    first, second = store.batches([torch.tensor([3]), torch.tensor([1, 0])])
    assert torch.equal(first.pe, pe[14:]) and torch.equal(second.pe, pe[[4, 0, 1, 2, 3]])
    node_store = pack(graphs[2:3], "node")
    node_store = GraphStore("node", **node_store.tensors(), pe=pe[5:14])
    assert torch.equal(node_store.whole().pe, pe[5:14])


class Counting:
    """A module with an encoding of the user's own, which notes each call."""

    CODE = """
import torch
calls = []
def constant(graph, node_ptr, *, value=1.0, dim=2):
    calls.append(value)
    return torch.full((graph.num_rows, dim), value)
def wrong(graph, node_ptr):
    return torch.ones(3)
def nothing(graph, node_ptr):
    return torch.ones(graph.num_rows, 0)
"""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "own_encoding.py"
        self.set_code(self.CODE)

    def set_code(self, code: str) -> None:
        self.file.write_text(code)
        sys.modules.pop("own_encoding", None)

    @property
    def calls(self) -> int:
        return len(sys.modules["own_encoding"].calls) if "own_encoding" in sys.modules else 0


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Counting(tmp_path)
    sys.modules.pop("own_encoding", None)


@pytest.fixture
def csl(shared_cache: Path) -> Callable[..., Dataset]:
    def make(**changes: object) -> Dataset:
        config = compose(["data=csl"])["data"]
        return load(DataCard.from_config({**config, **changes}), Path("unused"), shared_cache)

    return make


def test_what_is_kept_is_used_until_anything_changes(own, csl, tmp_path: Path):
    settings = {"name": "own", "_target_": "own_encoding.constant", "value": 2.0}
    dataset = csl()
    first = encoded(dataset, settings, tmp_path)
    assert own.calls == 1 and first.spec.pe_dim == 2 and bool((first.store.pe == 2).all())
    assert encoded(dataset, settings, tmp_path).store.pe.eq(2).all() and own.calls == 1
    assert encoded(dataset, {**settings, "name": "own"}, tmp_path).store.pe.eq(2).all()

    # an argument
    assert encoded(dataset, {**settings, "value": 3.0}, tmp_path).store.pe.eq(3).all()
    assert own.calls == 2
    # the function's code
    own.set_code(own.CODE.replace("value)\n\n", "value)\n").replace("dim), value", "dim), -value"))
    assert encoded(dataset, settings, tmp_path).store.pe.eq(-2).all() and own.calls == 1
    # the data
    other = encoded(Dataset(**{**vars(dataset), "fingerprint": "0" * 64}), settings, tmp_path)
    assert other.store.pe.eq(-2).all() and own.calls == 2
    # none of these removed what was there
    assert len([*cache.folder_of("csl", tmp_path).glob("own-*.pt")]) == 4


def test_a_damaged_file_is_made_again(csl, tmp_path: Path):
    dataset = csl()
    expected = encoded(dataset, RWSE, tmp_path).store.pe.clone()
    (path,) = cache.folder_of("csl", tmp_path).glob("rwse-*.pt")
    sound = path.read_bytes()
    place = sound.index(expected.numpy().tobytes()[-64:])
    flipped = bytearray(sound)
    flipped[place + 5] ^= 1
    for damaged in (bytes(flipped), sound[:-100], b""):
        path.write_bytes(damaged)
        assert torch.equal(encoded(dataset, RWSE, tmp_path).store.pe, expected)
        assert path.read_bytes() == sound


def test_a_kept_encoding_is_mapped_into_memory_and_counted_by_data_list(csl, tmp_path: Path):
    from gbench.data import manage

    dataset = csl()
    encoded(dataset, {**RWSE, "steps": 400}, tmp_path)
    kept = encoded(dataset, {**RWSE, "steps": 400}, tmp_path).store.pe
    with Path("/proc/self/maps").open() as maps:
        assert any("rwse-" in line for line in maps)
    assert kept.shape == (6150, 400)
    lines = manage.listing([], tmp_path, tmp_path).splitlines()
    (line,) = (line for line in lines if line.startswith("  rwse steps=400 "))
    assert line.endswith(" 9.4 MiB")
    assert manage.clean(["csl"], tmp_path).startswith("freed 9.4 MiB")
    assert not cache.folder_of("csl", tmp_path).exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"_target_": "own_encoding.constant", "colour": 1},
            "unexpected keyword argument 'colour'",
        ),
        ({"_target_": "own_encoding.constnat"}, "own_encoding.py 'constnat'"),
        ({"_target_": "no_such_module.f"}, "no module for"),
        ({"_target_": "own_encoding.wrong"}, r"shape \(3,\), expected floats of shape \(6150, K\)"),
        (
            {"_target_": "own_encoding.nothing"},
            r"\(6150, 0\), expected floats of shape \(6150, K\)",
        ),
    ],
)
def test_a_wrong_encoding_is_the_users_error(own, csl, tmp_path: Path, settings, says):
    with pytest.raises(UserError, match=says):
        encoded(csl(), {"name": "own", **settings}, tmp_path)
    assert not [*tmp_path.rglob("*.pt")]


def test_signs_are_random_in_training_only_and_repeat_with_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gbench.train.loader.ROUND_SECONDS", 600.0)

    def signs(seed: int) -> tuple[list[list[float]], list[list[float]]]:
        settings = ["data=csl", "model=gin", "encoding=lappe", f"seed={seed}"]
        task = build_task(compose([*settings, f"cache_dir={tmp_path}", "optim.batch_size=30"]))
        task.trainer = type("", (), {"world_size": 1, "global_rank": 0})
        task.max_epochs = 2
        batches = task.train_dataloader()
        pe = task.dataset.store.pe
        ids = task.dataset.split.train
        order = [
            ids[torch.randperm(90, generator=torch.Generator().manual_seed(seed * 1_000_003 + e))]
            for e in (0, 1)
        ]
        rows = pe.view(150, 41, 8)
        drawn = []
        made = [batch for epoch in (0, 1) for batch in batches.of_epoch(epoch)]
        for batch, chunk in zip(made, [c for o in order for c in o.split(30)], strict=True):
            plain = rows[chunk].reshape(-1, 8)
            sign = (batch.pe / plain).nanmedian(dim=0).values
            torch.testing.assert_close(batch.pe, plain * sign)
            drawn.append(sign.tolist())
        evaluated = []
        task.model.register_forward_pre_hook(lambda _, given: evaluated.append(given[0].pe))
        task.evaluate("valid")
        valid = rows[task.dataset.split.valid].reshape(-1, 8)
        assert torch.equal(torch.cat(evaluated), valid)
        return drawn, [sign for sign in drawn if len({*sign}) > 1]

    first, mixed = signs(0)
    assert len(first) == 6 and mixed and all(s in (-1.0, 1.0) for sign in first for s in sign)
    assert len({tuple(sign) for sign in first}) > 3
    assert signs(0)[0] == first
    assert signs(1)[0] != first


def test_each_encoding_is_a_setting_of_its_own():
    found = {
        identity(compose(words))
        for words in (
            [],
            ["encoding=rwse"],
            ["encoding=lappe"],
            ["encoding=rwse", "encoding.steps=8"],
        )
    }
    assert len(found) == 4
    with pytest.raises(UserError, match="unknown encoding 'rswe': did you mean 'rwse'"):
        compose(["encoding=rswe"])
    with pytest.raises(UserError, match=r"encoding\.dim=0: allowed is a number at least 1"):
        compose(["encoding=lappe", "encoding.dim=0"])


@pytest.mark.parametrize("name", ["rwse", "lappe"])
@pytest.mark.parametrize(
    "pair", ["gin csl", "gcn csl", "gin digits", "gcn csbm", "gin csbm", "sgc csbm"]
)
def test_every_model_trains_with_it_and_its_gradients_arrive(
    name: str, pair: str, shared_cache: Path
):
    model, data = pair.split()
    task = build_task(compose([f"model={model}", f"data={data}", f"encoding={name}"]))
    plain = build_task(compose([f"model={model}", f"data={data}"]))
    assert task.dataset.spec.pe_dim == {"rwse": 20, "lappe": 8}[name]
    if task.dataset.spec.level == "node":
        batch = task.dataset.store.whole()
    else:
        batch = task.dataset.store.batch(task.dataset.split.train[:8])
    more = sum(p.numel() for p in task.model.parameters())
    assert more > sum(p.numel() for p in plain.model.parameters())
    task.model.eval()
    before = task.model(batch)
    batch.pe = torch.randn_like(batch.pe)
    assert not torch.allclose(task.model(batch), before)
    task.model.train()
    task.training_step(batch, 0).backward()
    assert all(p.grad is not None for p in task.model.parameters())


def test_the_encoding_of_the_readme_is_one_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    code = readme[readme.index("def log_degree") :].split("```")[0]
    (tmp_path / "encoding").mkdir()
    (tmp_path / "encoding" / "degree.yaml").write_text("_target_: readme_degrees.log_degree\n")
    (tmp_path / "readme_degrees.py").write_text(code)
    monkeypatch.setattr(sys, "path", [*sys.path])
    words = ["data=csl", "encoding=degree", f"cache_dir={tmp_path}"]
    pe = build_task(compose(words, [tmp_path])).dataset.store.pe
    torch.testing.assert_close(pe, torch.full((6150, 1), 5.0).log())


def test_walks_tell_apart_what_message_passing_cannot(shared_cache: Path):
    """Of the ten classes of CSL, all of one 1-WL colour, walks of at most 20 steps tell all."""
    task = build_task(compose(["data=csl", "encoding=rwse"]))
    rows = task.dataset.store.pe.view(150, 41, 20)
    torch.testing.assert_close(rows, rows[:, :1].expand_as(rows))  # vertex-transitive
    profiles = {tuple((1e4 * row).round().tolist()) for row in rows[:, 0].double()}
    assert len(profiles) == 10


@pytest.mark.data
def test_the_encodings_of_molecules_are_those_of_each_alone(data_dir: Path, shared_cache: Path):
    """Real molecules, some of several parts; 4 s, of which preparing molhiv takes most."""
    dataset = load(
        DataCard.from_config(compose(["data=ogbg-molhiv"])["data"]), data_dir, shared_cache
    )
    graph, node_ptr = dataset.store.union()
    walks = return_probabilities(graph, node_ptr, steps=16)
    waves = eigenvectors(graph, node_ptr, dim=8)
    transform = AddRandomWalkPE(16, attr_name="pe")
    for i in [*range(0, 41127, 997), 29384]:
        batch = dataset.store.batch(torch.tensor([i]))
        rows = slice(node_ptr[i], node_ptr[i + 1])
        alone = Data(edge_index=batch.edge_index, num_nodes=batch.num_nodes)
        torch.testing.assert_close(walks[rows], transform(alone).pe)
        matrix = dense_laplacian(Graph(batch.x, batch.edge_index, batch.y))
        values = np.linalg.eigvalsh(matrix)
        wanted = values[values > 1e-9][:8]
        kept = waves[rows, : wanted.size].double().numpy()
        np.testing.assert_allclose(matrix @ kept, kept * wanted, atol=1e-6)
