"""Where Triton kernels run in a test: on a GPU, or on the CPU through Triton's interpreter."""

import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gbench.bench.gpu.interpreted import interpret
from gbench.kernels import CSR

# Largest allowed error, as a part of the largest value: sums are float32 for both narrow types.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 1.2e-2}


@pytest.fixture(scope="session")
def device() -> str:
    """Skips without a GPU, unless this process was started for the interpreter."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        interpret()
        return "cpu"
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device (test_triton_interpreter.py runs these on the CPU)")
    return "cuda"


@pytest.fixture(autouse=True)
def _short_slots(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Make rows of more than 8 entries hubs, and more than 8 entries fill several tables."""
    if "device" in request.fixturenames:
        request.getfixturevalue("device")
        monkeypatch.setattr("gbench.kernels.cuda.rows.SLOT", 4)
        monkeypatch.setattr("gbench.kernels.cuda.tables.FEW", 8)


@pytest.fixture
def hub_graph() -> CSR:
    """Two hubs, of 15 in- and 15 out-neighbours; self-loops, repeated edges, isolated nodes."""
    edges = torch.randint(0, 10, (2, 30), generator=torch.Generator().manual_seed(0))
    edges[1, :15] = 3
    edges[0, 8:23] = 7
    return CSR.from_edge_index(edges, 12)[0]


@pytest.fixture(params=["empty", "no-edges"])
def bare_graph(request: pytest.FixtureRequest) -> CSR:
    return CSR.from_edge_index(torch.zeros(2, 0).long(), 0 if request.param == "empty" else 5)[0]


@pytest.fixture
def agrees(device: str) -> Callable[..., None]:
    """Values and gradients against the reference in float64 on the CPU, and the same bits twice."""

    def check(
        kernel: Callable[..., Tensor],
        reference: Callable[..., Tensor],
        *inputs: Tensor,
        roundings: int = 1,
    ) -> None:
        exact = [x.double().requires_grad_() for x in inputs]
        expected = reference(*exact)
        dtype = inputs[0].dtype
        grad = torch.randn(expected.shape).to(dtype)
        wanted = [expected.detach(), *torch.autograd.grad(expected, exact, grad.double())]
        found = run(kernel, inputs, grad)
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.dtype == dtype
            # A parameter's gradient sums n terms of both signs, whose rounding grows with √n.
            terms = max(1, expected.numel() // max(1, theirs.numel()))
            scale = max(terms**0.5, float(theirs.abs().max()) if theirs.numel() else 0.0)
            atol = TOLERANCE[dtype] * roundings * scale
            torch.testing.assert_close(ours.cpu().double(), theirs, rtol=0, atol=atol)
        if device == "cuda" or expected.numel() < 100:
            again = run(kernel, inputs, grad)
            assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))

    def run(kernel: Callable[..., Tensor], inputs: tuple[Tensor, ...], grad: Tensor):
        ours = [x.detach().to(device).requires_grad_() for x in inputs]
        out = kernel(*ours)
        return [out.detach(), *torch.autograd.grad(out, ours, grad.to(device))]

    return check
