"""Every operation's peers compute what it means, and nothing that does not is ever timed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gbench.bench import kernels, measure, workloads
from gbench.bench.case import Arm, Case, Mismatch, Plan, check
from gbench.bench.row import Row
from gbench.bench.workloads import Workload
from gbench.cli.main import main
from gbench.data.store import pack
from gbench.kernels import CSR

CPU = torch.device("cpu")
BRIEF = measure.Budget(seconds=0.0, min_rounds=2)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    workloads.molecules.cache_clear()
    yield
    torch.set_num_threads(threads)


def tiny(name: str) -> Workload:
    """A small workload of the kind of the named one."""
    if name in workloads.MOLECULES:
        batch = pack(workloads.drawn_molecules(6)).batch(torch.arange(6))
        return Workload(name, batch.graph, is_local=True, batch=batch)
    return Workload(name, workloads.power_law(70, 400, 0.5, CPU))


ALL_PLANS = [
    pytest.param(plan, id=f"{op} {plan.workload} {plan.detail}")
    for op in kernels.OPS
    for plan in kernels.plans(op)
]


@pytest.mark.parametrize("plan", ALL_PLANS)
def test_every_peer_at_hand_computes_the_operation(plan: Plan) -> None:
    case = plan.build(tiny(plan.workload))
    grad = torch.randn(case.reference.forward().shape).to(case.dtype)
    check(case, case.ours, grad)
    checked = []
    for name, build in case.peers.items():
        if name == "Inductor":  # a minute of C++ compilation
            continue
        try:
            arm = build()
        except ImportError:
            continue
        check(case, arm, grad)
        checked.append(name)
    assert checked
    assert 0 < case.moved[0] < case.moved[1]


def scaled_case(workload: Workload, ours: Callable[[Tensor], Tensor]) -> Case:
    """y = 2 x: an operation whose peers can be right and wrong at will."""
    values = {"x": torch.randn(workload.graph.num_rows, 3)}

    def absent() -> Arm:
        raise ImportError("no package of that name")

    return Case(
        Arm.of(lambda x: 2 * x, values, torch.float64),
        Arm.of(ours, values),
        {
            "right": lambda: Arm.of(lambda x: x + x, values),
            "wrong": lambda: Arm.of(lambda x: 2.001 * x, values),
            "wrong gradient": lambda: Arm.of(lambda x: x + x.detach(), values),
            "absent": absent,
            "broken": lambda: Arm.of(lambda x: x @ x, values),
        },
        (24, 48),
    )


def run_scaled(monkeypatch: pytest.MonkeyPatch, ours: Callable[[Tensor], Tensor]) -> list[Row]:
    plan = Plan("cora-sized", "", partial(scaled_case, ours=ours))
    monkeypatch.setattr(kernels, "plans", lambda op: (plan,))
    missing: dict[str, str] = {}
    choice = kernels.Choice(CPU, BRIEF, ops=("spmm",))
    found = [row for block in kernels.run(choice, missing) for row in block]
    assert missing == {"absent": "no package of that name"}
    return found


def test_a_wrong_peer_is_named_and_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run_scaled(monkeypatch, lambda x: 2 * x)
    assert [row.direction for row in rows] == ["forward"] * 4 + ["forward+backward"] * 4
    for row in rows:
        assert row.checked == (row.peer == "right")
        assert (row.ratio is None) == (row.peer != "right")
        assert row.ours_ms is not None
    notes = {row.peer: row.note for row in rows}
    assert "value is off by" in notes["wrong"]
    assert "gradient of x is off by" in notes["wrong gradient"]
    assert "RuntimeError" in notes["broken"]


@pytest.mark.parametrize(
    "ours", [lambda x: 2.001 * x, lambda x: x + x.detach(), lambda x: x * torch.nan]
)
def test_nothing_is_timed_when_ours_is_wrong(ours, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run_scaled(monkeypatch, ours)
    assert len(rows) == 8
    for row in rows:
        assert not row.checked
        assert row.note.startswith("gbench: Mismatch")
        assert row.ours_ms is row.peer_ms is row.ratio is row.gb_per_s is None


def test_a_broken_kernel_ends_the_command_with_code_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gbench.bench.ops import segment_reduce as op

    right = op.segment_reduce
    monkeypatch.setattr(op, "segment_reduce", lambda *args: right(*args) * 1.01)
    monkeypatch.setattr(workloads, "make", lambda name, device: tiny(name))
    file = tmp_path / "rows.json"
    words = ["bench", "kernels", "--op", "segment_reduce", "--peer", "pool", "--json", str(file)]
    assert main(words) == 1
    printed = capsys.readouterr()
    assert "checked: no" in printed.out
    assert "6 rows did not pass their check" in printed.err
    assert not any(row["checked"] for row in json.loads(file.read_text())["rows"])


def test_the_command_prints_100_columns_and_writes_complete_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "QUICK", BRIEF)
    monkeypatch.setattr(workloads, "make", lambda name, device: tiny(name))
    file = tmp_path / "rows.json"
    words = "bench kernels --quick --op spmm --op gine_aggregate --workload molhiv-32 --peer torch"
    assert main([*words.split(), "--json", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    rows = json.loads(file.read_text())["rows"]
    assert {row["op"] for row in rows} == {"spmm", "gine_aggregate"}
    assert {row["direction"] for row in rows} == set(kernels.DIRECTIONS)
    asked = {
        *("op", "workload", "dtype", "direction", "peer", "ratio", "ratio_low", "ratio_high"),
        *("gb_per_s", "floor_fraction", "peak_mib", "checked", "hardware", "versions"),
    }
    for row in rows:
        assert asked <= row.keys()
        assert row["checked"]
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
        assert row["workload"].startswith("molhiv-32 D=300")
        assert "torch" in row["peer"]
        assert row["versions"]["torch"] == version("torch")  # torch.__version__ names the build too


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("bench kernel", "unknown bench 'kernel': did you mean 'kernels'?"),
        ("bench kernels --op gine", "unknown operation 'gine'"),
        ("bench kernels --workload molhiv-33", "did you mean 'molhiv-32'?"),
        ("bench kernels --threads 0", "--threads 0: pass 1 or more"),
        ("bench loader --op spmm", "has no operations"),
    ],
)
def test_a_mistake_is_one_message_with_code_2(
    words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert says in capsys.readouterr().err


def dropping(rate: float, scale: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x * (torch.rand(x.shape) >= rate) * scale


def test_dropout_is_checked_in_rate_scale_and_gradient() -> None:
    values = {"x": torch.randn(200, 100)}
    exact = Arm.of(lambda x: 3 * x, values, torch.float64)
    grad = torch.randn(200, 100)

    def verdict(function: Callable[[Tensor], Tensor]) -> None:
        arm = Arm.of(function, values)
        check(Case(exact, arm, {}, (1, 2), dropout=0.25), arm, grad)

    verdict(dropping(0.25, 4.0))
    with pytest.raises(Mismatch, match=r"keeps 0\.[45]"):
        verdict(dropping(0.5, 4.0))
    with pytest.raises(Mismatch, match="value is off"):
        verdict(dropping(0.25, 3.0))
    with pytest.raises(Mismatch, match="gradient of x is off"):
        verdict(lambda x: dropping(0.25, 4.0)(x).detach() + 4 * (x - x.detach()))


@pytest.mark.parametrize(
    ("name", "num_entries", "largest"),
    [("cora-sized", 10_556, 168), ("coauthor-sized", 163_788, 136),
     ("chameleon-sized", 62_742, 732), ("power-law-100k", 1_000_000, 4_000),
     ("arxiv-profile", 2_315_598, 13_161)],
)  # fmt: skip
def test_drawn_graphs_have_the_published_sizes(name: str, num_entries: int, largest: int) -> None:
    num_nodes, _, _ = workloads.DRAWN[name]
    graph = workloads.make(name, CPU).graph
    assert graph.num_rows == num_nodes
    assert graph.num_entries == pytest.approx(num_entries, rel=0.02)
    assert int(graph.in_degree.max()) == pytest.approx(largest, rel=0.1)
    assert torch.equal(graph.rowptr, graph.rowptr_t)
    assert torch.equal(graph.col, graph.col_t)
    entries = graph.row * num_nodes + graph.col
    assert entries.unique().numel() == graph.num_entries


def test_drawn_molecules_have_molhivs_statistics() -> None:
    graphs = workloads.drawn_molecules(500)
    sizes = torch.tensor([len(graph.x) for graph in graphs]).double()
    bonds = torch.tensor([graph.edge_index.size(1) // 2 for graph in graphs]).double()
    assert float(sizes.mean()) == pytest.approx(25.5, rel=0.05)
    assert float(bonds.mean()) == pytest.approx(27.5, rel=0.05)
    for graph in graphs[:50]:
        csr, _ = CSR.from_edge_index(graph.edge_index, len(graph.x))
        assert torch.equal(csr.col, csr.col_t)
        assert int(csr.in_degree.min()) > 0
        pairs = csr.row * len(graph.x) + csr.col
        assert pairs.unique().numel() == csr.num_entries
        assert not bool((csr.row == csr.col).any())


def test_the_name_says_whether_molecules_are_real(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GBENCH_DATA", str(tmp_path))
    made = workloads.make("molhiv-32", CPU)
    assert made.name == "molhiv-like-32"
    assert made.molecules.num_graphs == 32


@pytest.mark.data
def test_real_molecules_are_taken_where_they_are_at_hand(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    monkeypatch.setenv("GBENCH_DATA", str(data_dir))
    made = workloads.make("molhiv-512", CPU)
    assert made.name == "molhiv-512"
    assert made.molecules.num_graphs == 512
    assert made.graph.num_rows / 512 == pytest.approx(25.5, rel=0.1)
