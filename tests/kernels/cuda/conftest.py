"""Where Triton kernels run in a test: on a GPU, or on the CPU through Triton's interpreter."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gbench.kernels import CSR, library

KERNELS = Path(__file__).parents[3] / "kernels" / "cuda"
# the other files are what several operations share
OPERATIONS = sorted(
    path.stem for path in KERNELS.glob("*.py") if f"\ndef {path.stem}(" in path.read_text()
)

# Largest allowed error, as a part of the largest value: sums are float32 for both narrow types.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 1.2e-2}


@pytest.fixture(scope="session")
def device() -> str:
    """Skips without a GPU, unless this process was started for the interpreter."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        _interpret()
        return "cpu"
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device (test_triton_interpreter.py runs these on the CPU)")
    return "cuda"


def _interpret() -> None:
    """Let operations on CPU tensors find the Triton kernels where they look for numba's."""
    import numpy
    import triton
    from triton import language
    from triton.runtime import interpreter

    for name in OPERATIONS:
        kernel = importlib.import_module(f"gbench.kernels.cuda.{name}")
        sys.modules[f"gbench.kernels.cpu.{name}"] = kernel
    # where no Triton kernel is, what a GPU would run stands in
    library.has_kernel = lambda name, x: library.has_cuda(name)

    def wide(handle):
        if handle.dtype.scalar != language.bfloat16:
            return handle
        bits = handle.data.astype(numpy.uint32) << 16
        return interpreter.TensorHandle(bits.view(numpy.float32), language.float32)

    def dot(builder, a, b, *rest):
        return multiply(builder, wide(a), wide(b), *rest)

    def scalars(tensor, scope):
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    patch = interpreter._patch_lang_tensor
    if triton.__version__.startswith("3.6."):  # takes int(array), which NumPy 2.4 refuses
        interpreter._patch_lang_tensor = scalars

    # The interpreter multiplies the bits of two bfloat16 matrices as if they were integers.
    multiply = interpreter.InterpreterBuilder.create_dot
    interpreter.InterpreterBuilder.create_dot = dot


@pytest.fixture(autouse=True)
def _short_slots(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Make every row of more than 8 entries a hub, so that graphs of 60 edges have some."""
    if "device" in request.fixturenames:
        request.getfixturevalue("device")
        monkeypatch.setattr("gbench.kernels.cuda.rows.SLOT", 4)


@pytest.fixture
def hub_graph() -> CSR:
    """Two hubs, of 30 in- and 30 out-neighbours; self-loops, repeated edges, isolated nodes."""
    edges = torch.randint(0, 20, (2, 60), generator=torch.Generator().manual_seed(0))
    edges[1, :30] = 3
    edges[0, 15:45] = 7
    return CSR.from_edge_index(edges, 22)[0]


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
