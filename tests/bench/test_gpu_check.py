"""scripts/gpu_check.py without a GPU: its rows keep coming whatever happens to an item."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from gbench.bench import kernels, measure, workloads
from gbench.bench.case import TOLERANCE, Plan, errors
from gbench.bench.gpu import cases, conductor, items, large, models, table
from gbench.bench.row import OURS

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
FOREIGN = "hydra omegaconf ogb wandb lightning torch_geometric pandas sklearn scipy numba yaml rich"

# A worker whose items fail in every way that an item can.
FAILING = """
import os, sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
import torch
from gbench.bench import measure
from gbench.bench.gpu import items
from gbench.bench.gpu.cases import NotCaptured
from gbench.bench.gpu.conductor import main

LOST = Path({folder!r}) / "lost"


def good(name):
    yield {{"kind": "case", "op": name, "status": "ok"}}


def raises():
    yield {{"kind": "case", "op": "half", "direction": "forward", "status": "ok"}}
    raise RuntimeError("CUDA error: an illegal memory access")


def wants_memory():
    raise torch.OutOfMemoryError("tried to allocate")
    yield


def dies():
    print("what a package prints is no row")
    os.abort()
    yield


def captured(options):
    yield {{"kind": "case", "op": "captured", "direction": "forward", "status": "ok"}}
    if "captured · backward · peer" not in options.uncaptured:
        raise NotCaptured("captured · backward · peer", "it cannot")
    yield {{"kind": "case", "op": "captured", "direction": "backward", "status": "ok"}}


def loses():
    LOST.touch()
    raise RuntimeError("CUDA error: unspecified launch failure")
    yield


def silent():
    time.sleep(60)
    yield


def listed(options, op):
    made = {{
        "first": lambda: good("first"), "raises": raises, "wants": wants_memory, "dies": dies,
        "captured": lambda: captured(options), "loses": loses, "silent": silent,
        "last": lambda: good("last"),
    }}
    return [items.Item(name, run) for name, run in made.items()]


def check_device(device):
    if LOST.exists():
        LOST.unlink()
        raise RuntimeError("the device is lost")


items.items = listed
items.missing = lambda: ["forgotten"]
measure.check_device = check_device
sys.exit(main("", Path(__file__)))
"""


def test_rows_keep_coming_whatever_happens_to_an_item(tmp_path: Path) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING.format(root=str(ROOT), folder=str(tmp_path)))
    command = [sys.executable, str(script), "--device", "cpu"]
    out = io.StringIO()
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    conductor.conduct(command, out, 10.0, rows, facts)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == rows
    found = [(row["op"], row.get("direction", ""), row["status"]) for row in rows]
    assert found == [
        ("forgotten", "", "failed"),
        ("first", "", "ok"),
        ("half", "forward", "ok"),
        ("raises", "", "failed"),
        ("wants", "", "skipped"),
        ("dies", "", "failed"),
        ("captured", "forward", "ok"),
        ("captured", "backward", "ok"),
        ("loses", "", "failed"),
        ("silent", "", "failed"),
        ("last", "", "ok"),
    ]
    notes = {row["op"]: row.get("note", "") for row in rows}
    assert "illegal memory access (failing.py:" in notes["raises"]
    assert notes["dies"] == "the process ended with code -6"
    assert notes["silent"] == "no word for 10 seconds"
    assert facts["torch"] == torch.__version__
    text = table.text(rows, facts)
    assert "5 ok, 1 skipped, 0 wrong, 5 failed" in text


def test_a_worker_that_cannot_start_is_told_once(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no such package')")
    rows: list[dict[str, Any]] = []
    conductor.conduct([sys.executable, str(script)], io.StringIO(), 60.0, rows, {})
    assert [(row["op"], row["status"]) for row in rows] == [("start", "failed")]


WAITING = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from gbench.bench.gpu import items
from gbench.bench.gpu.conductor import main


def waits():
    yield {{"kind": "case", "op": "waits", "status": "ok"}}
    time.sleep(600)


items.items = lambda options, op: [items.Item("waits", waits)] if "waits".startswith(op) else []
sys.exit(main("", Path(__file__)))
"""


def test_what_is_interrupted_ends_with_the_table(tmp_path: Path) -> None:
    script = tmp_path / "waiting.py"
    script.write_text(WAITING.format(root=str(ROOT)))
    command = [sys.executable, str(script), "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["op"] == "waits"
    process.terminate()
    told, said = process.communicate()
    assert process.returncode == 1
    assert "1 ok, 0 skipped, 0 wrong, 0 failed" in told
    assert "Interrupted in waits" in said


def test_a_name_that_nothing_has_is_told(tmp_path: Path) -> None:
    script = tmp_path / "waiting.py"
    script.write_text(WAITING.format(root=str(ROOT)))
    command = [sys.executable, str(script), "--device", "cpu", "--op", "wiats"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Nothing begins with 'wiats'" in done.stderr


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    done = _bare(tmp_path, "--device", "cpu", "--json", str(tmp_path / "no" / "rows.jsonl"))
    assert done.returncode == 2
    assert "rows cannot be written to" in done.stderr


def test_rows_that_a_full_disk_refuses_are_in_the_table(tmp_path: Path) -> None:
    words = ("--device", "cpu", "--op", "device · pair_weight", "--json", "/dev/full")
    done = _bare(tmp_path, *words)
    assert "a row was not written" in done.stderr
    assert "1 skipped" in done.stdout


def test_half_a_line_of_a_killed_worker_is_no_row(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal\n"
        'print(\'{"event": "facts"}\', \'{"event": "begin", "item": "half"}\', sep=\'\\n\')\n'
        "print('{\"event\": \"ro', end='', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    found = list(conductor._events([sys.executable, str(script)], 60.0))
    assert [event["event"] for event in found] == ["facts", "begin", "ended"]
    assert found[-1]["note"] == "the process ended with code -9"


def _bare(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The script where nothing but torch, triton and numpy can be found."""
    (tmp_path / "sitecustomize.py").write_text(f"""
from importlib.machinery import PathFinder
FOREIGN, found = {FOREIGN.split()!r}, PathFinder.find_spec
PathFinder.find_spec = staticmethod(
    lambda name, path=None, target=None:
        None if name.partition(".")[0] in FOREIGN else found(name, path, target)
)
""")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, str(ROOT / "scripts" / "gpu_check.py"), *words]
    return subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def test_a_bare_checkout_checks_kernels_in_the_interpreter(tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="needs triton (pip install triton)")
    file = tmp_path / "rows.jsonl"
    words = ["--device", "cpu", "--rounds", "1", "--op", "pair_weight", "--json", str(file)]
    done = _bare(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {(row["dtype"], row["direction"]) for row in rows} == {
        (dtype, direction)
        for dtype in ("float32", "bfloat16")
        for direction in ("forward", "forward+backward")
    }
    for row in rows:
        assert row["status"] == "ok"
        assert row["same_bits"]
        assert row["error"] <= row["allowed"]
        assert row["ours_ms"] > 0
        assert row["part_of_copy"] > 0
    assert "torch operations" in rows[0]["peers"]
    assert "4 ok, 0 skipped, 0 wrong, 0 failed" in done.stdout


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    done = _bare(tmp_path)
    assert done.returncode == 1
    assert "finds no GPU here" in done.stdout or "this torch has no CUDA" in done.stdout
    assert "1 failed" in done.stdout


def test_every_cuda_operation_has_cases_in_each_type_that_it_takes() -> None:
    assert items.missing() == []
    for op in kernels.OPS:
        details = [plan.detail for plan in (*kernels.plans(op), *kernels.variants(op))]
        assert len(set(details)) > 1 or op == "scaled_sheaf_laplacian"


@pytest.mark.parametrize("op", kernels.OPS)
def test_every_variant_is_what_the_operation_means(op: str) -> None:
    torch.manual_seed(0)
    for plan in kernels.variants(op):
        case = plan.build(workloads.tiny(plan.workload, CPU))
        grad = torch.randn(case.reference.forward().shape).to(case.dtype)
        assert max(errors(case, case.ours, grad).values()) <= TOLERANCE[case.dtype], plan.detail
        assert 0 < case.moved[0] < case.moved[1]


def test_a_wrong_kernel_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    from gbench.bench.ops import pair_weight as op

    right = op.pair_weight
    monkeypatch.setattr(op, "pair_weight", lambda *given: right(*given) * 1.01)
    (plan,) = op.PLANS
    settings = cases.Settings(CPU, 1, False, frozenset())
    found = list(
        cases.rows("", "pair_weight", plan, workloads.tiny("chameleon-sized", CPU), settings)
    )
    assert [row["status"] for row in found] == ["wrong"]
    assert found[0]["error"] > found[0]["allowed"]


@pytest.mark.parametrize("name", large.CASES)
def test_the_last_copy_is_what_it_is_alone(name: str) -> None:
    assert large.row(name, CPU, is_tiny=True)["status"] == "ok"


def test_an_overflowed_row_number_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = large.kernels.spmm
    monkeypatch.setattr(large.kernels, "spmm", lambda graph, x: right(graph, x.roll(40, 0)))
    assert large.row("spmm", CPU, is_tiny=True)["status"] == "wrong"


@pytest.mark.parametrize(("model", "data"), models.pairs())
def test_a_models_step_is_that_of_its_definition(model: str, data: str) -> None:
    row = models.row(model, data, CPU, is_tiny=True)
    assert row["status"] == "ok", row


def test_a_wrong_step_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from gbench.kernels import library
    from gbench.models import sgc

    right = sgc.gcn_propagate

    def wrong(graph: Any, x: torch.Tensor, hops: int, **options: Any) -> torch.Tensor:
        return right(graph, x, hops + library.has_kernel("gcn_propagate", x), **options)

    monkeypatch.setattr(sgc, "gcn_propagate", wrong)
    assert models.row("sgc", "nodes", CPU, is_tiny=True)["status"] == "wrong"


@pytest.mark.parametrize("name", sorted(path.stem for path in models.CONF.glob("*.yaml")))
def test_settings_are_those_of_the_yaml(name: str) -> None:
    def read(name: str) -> dict[str, Any]:
        document = yaml.safe_load((models.CONF / f"{name}.yaml").read_text())
        found: dict[str, Any] = {}
        for base in document.get("defaults", ()):
            is_model = isinstance(base, str) and base != "_self_"  # else it chooses an encoding
            found |= read(base) if is_model else {}
        return found | document.get("model", {})

    assert models.settings(name) == read(name)


# measure.py on a GPU, with torch's calls replaced by what they do there


class FakeCuda:
    """A device on which calls wait, or cannot be captured, when they say so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mode, self.capturing, self.spoiled, self.stream = "default", False, False, "main"
        fake = self

        class Graph:
            def __init__(self) -> None:
                self.call: Any = None

            def replay(self) -> None:
                fake.replays += 1

        class Capture:
            def __init__(self, graph: Graph, stream: Any) -> None:
                self.stream = stream

            def __enter__(self) -> None:
                fake.capturing, fake.stream = True, "side"

            def __exit__(self, kind: Any, *_: Any) -> None:
                if kind is not None:
                    fake.spoiled = True  # and the stream stays, as in torch
                    raise RuntimeError("CUDA error: operation failed due to a previous error")
                fake.capturing, fake.stream = False, "main"

        class Stream:
            def wait_stream(self, other: Any) -> None: ...

        class Generator:
            def clone_state(self) -> str:
                return "clone"

            def graphsafe_set_state(self, state: str) -> None:
                assert state == "clone"
                fake.spoiled = fake.capturing = False

        class Within:
            def __enter__(self) -> None: ...
            def __exit__(self, *_: Any) -> None: ...

        self.replays = 0
        for name, value in {
            "synchronize": lambda: None,
            "set_sync_debug_mode": lambda mode: setattr(fake, "mode", mode),
            "CUDAGraph": Graph,
            "graph": Capture,
            "Stream": Stream,
            "stream": lambda stream: Within(),
            "set_stream": lambda stream: setattr(fake, "stream", "main"),
            "current_stream": Stream,
            "current_device": lambda: 0,
            "default_generators": (Generator(),),
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    def wait(self) -> None:
        if self.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")
        assert not self.capturing, "a call that waits must never be captured"

    def refuse(self) -> None:
        if self.capturing:
            raise RuntimeError("operation not permitted when stream is capturing")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    return FakeCuda(monkeypatch)


def test_a_call_that_waits_is_never_captured(fake: FakeCuda) -> None:
    timed = cases.prepared("it", fake.wait, torch.device("cuda"), frozenset())
    assert (timed.call, timed.how) == (fake.wait, "events")
    assert timed.note == "called a synchronizing CUDA operation"
    assert fake.mode == "default"
    assert measure._replayed(fake.wait) == fake.wait


def test_what_does_not_wait_is_replayed(fake: FakeCuda) -> None:
    timed = cases.prepared("it", lambda: 3, torch.device("cuda"), frozenset())
    assert isinstance(timed.call, measure.Replay)
    timed.call()
    assert (timed.how, timed.call.result, fake.replays) == ("graph", 3, 1)


def test_a_failed_capture_ends_the_process_that_checks(fake: FakeCuda) -> None:
    with pytest.raises(cases.NotCaptured) as caught:
        cases.prepared("it", fake.refuse, torch.device("cuda"), frozenset())
    assert caught.value.args[0] == "it"
    assert "not permitted" in str(caught.value.__cause__.__cause__.__context__)  # type: ignore[union-attr]
    again = cases.prepared("it", fake.refuse, torch.device("cuda"), frozenset({"it"}))
    assert (again.call, again.how) == (fake.refuse, "events")


def test_what_no_graph_holds_ends_one_process_for_an_operation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []

    def prepared(name: str, call: Any, *_: Any) -> cases.Timed:
        tried.append(name)
        return cases.Timed(call, "clock", "")

    monkeypatch.setattr(cases, "prepared", prepared)
    settings = cases.Settings(CPU, 1, True, frozenset())
    for plan in kernels.plans("segment_reduce")[:2]:
        workload = workloads.tiny(plan.workload, CPU)
        assert list(cases.rows(f"key {plan.detail}", "segment_reduce", plan, workload, settings))
    ours = [name for name in tried if name.endswith(OURS)]
    peers = [name for name in tried if name.endswith("torch.segment_reduce")]
    assert len(set(ours)) == len(ours) == 4
    assert (len(set(peers)), len(peers)) == (2, 4)


def test_a_failed_capture_leaves_stream_and_generator_usable(
    fake: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "check_device", lambda device: None)
    assert measure._replayed(fake.refuse) == fake.refuse
    assert (fake.stream, fake.spoiled, fake.capturing) == ("main", False, False)


def test_another_error_than_a_wait_is_raised(fake: FakeCuda) -> None:
    def broken() -> None:
        raise RuntimeError("illegal memory access")

    with pytest.raises(RuntimeError, match="illegal"):
        measure.waits(broken)
    assert fake.mode == "default"


def test_plans_have_names_of_their_own() -> None:
    keys = [item.key for item in items.items(items.Options(CPU, 1), "")]
    assert len(keys) == len(set(keys))
    assert all(isinstance(plan, Plan) for op in kernels.OPS for plan in kernels.plans(op))
