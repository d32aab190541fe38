"""Graphs of every awkward shape, and the comparison of a kernel with its reference."""

from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gbench.bench import measure
from gbench.kernels import CSR
from gbench.kernels.cpu import ways

# Largest allowed error, as a part of the largest value: sums are float32 for both narrow types.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 1.2e-2}


def _edges(shape: str) -> tuple[Tensor, int]:
    if shape == "empty":
        return torch.zeros(2, 0, dtype=torch.int64), 0
    if shape == "no-edges":
        return torch.zeros(2, 0, dtype=torch.int64), 5
    if shape == "hub":  # node 0 receives from all, itself included, and node 1 sends to all
        others = torch.arange(130)
        into = torch.stack([others, torch.zeros_like(others)])
        out_of = torch.stack([torch.ones_like(others), others])
        return torch.cat([into, out_of], dim=1), 130
    # directed, with self-loops, repeated edges and, from 33 on, isolated nodes
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 33, (2, 120), generator=generator), 40


@pytest.fixture(params=["empty", "no-edges", "hub", "random"])
def graph(request: pytest.FixtureRequest) -> CSR:
    return CSR.from_edge_index(*_edges(request.param))[0]


@pytest.fixture
def random_graph() -> CSR:
    return CSR.from_edge_index(*_edges("random"))[0]


@pytest.fixture(params=[torch.float32, torch.float64, torch.bfloat16], ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    found: torch.dtype = request.param
    return found


@pytest.fixture(params=[1, 3, 33, 300])
def width(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(autouse=True)
def _fixed_conditions() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def assert_agrees() -> Callable[..., None]:
    """Values and gradients of a kernel against its reference in float64 on the same inputs."""

    def check(
        kernel: Callable[..., Tensor],
        reference: Callable[..., Tensor],
        *inputs: Tensor,
        roundings: int = 1,
    ) -> None:
        ours = [x.detach().requires_grad_() for x in inputs]
        exact = [x.detach().double().requires_grad_() for x in inputs]
        out, expected = kernel(*ours), reference(*exact)
        assert out.dtype == inputs[0].dtype
        assert out.shape == expected.shape
        grad = torch.randn(expected.shape).to(out.dtype)
        grads = torch.autograd.grad(out, ours, grad)
        expected_grads = torch.autograd.grad(expected, exact, grad.double())
        tolerance = TOLERANCE[out.dtype] * roundings
        for found, wanted in zip((out, *grads), (expected, *expected_grads), strict=True):
            assert found.dtype == out.dtype
            assert found.shape == wanted.shape
            found, wanted = found.detach().double(), wanted.detach()
            # A parameter's gradient sums n terms of both signs, whose rounding grows with √n.
            terms = max(1, out.numel() // max(1, wanted.numel()))
            scale = max(terms**0.5, float(wanted.abs().max()) if wanted.numel() else 0.0)
            torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance * scale)

    return check


@pytest.fixture
def peak_of() -> Callable[[Callable[[], Tensor]], int]:
    """The most memory, in bytes, that a call takes at any time, whoever allocates it."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux's /proc/self/clear_refs")

    def measured(call: Callable[[], Tensor]) -> int:
        call()  # compiles, and starts threads
        peak = measure.peak_extra_mib(call, torch.device("cpu"))
        assert peak is not None
        return round(peak * 2**20)

    return measured


def _operations() -> list[Any]:
    spec = spec_from_file_location("operations", Path(__file__).with_name("operations.py"))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: list[Any] = module.OPERATIONS
    return found


OPERATIONS = _operations()


@pytest.fixture(params=OPERATIONS, ids=[found.name for found in OPERATIONS])
def operation(request: pytest.FixtureRequest) -> Any:
    """Each public operation: see operations.py."""
    return request.param


@pytest.fixture
def operations() -> list[Any]:
    """All of them."""
    return OPERATIONS


@pytest.fixture
def fresh_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no dense layer had been met, by this process or another."""
    monkeypatch.setenv("GBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ways, "_known", {})
    monkeypatch.setattr(ways, "_used", {})
