"""The dense layer both ways, whatever was chosen: values, gradients and what it leaves alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from gbench.kernels import linear as op
from gbench.kernels.cpu import linear as products
from gbench.kernels.cpu import ways
from gbench.kernels.cpu.linear import padded
from gbench.kernels.linear import linear

CONVOLVED = ways.Ways(*[ways.CONVOLUTION] * 3)
NARROW = ways.Ways(*[ways.BFLOAT16] * 3)


@pytest.fixture(autouse=True)
def _asked_of_all(fresh_ways: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(op, "LEAST", 0)


@pytest.fixture
def convolved(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """As if a convolution were faster for all three products; the rows of each that was asked."""
    asked: list[int] = []

    def ways_of(rows: int, inputs: int, outputs: int, dtype: str = "float32") -> ways.Ways:
        if dtype == "bfloat16":
            return NARROW
        asked.append(rows)
        return CONVOLVED

    monkeypatch.setattr(ways, "ways_of", ways_of)
    yield asked


def compare(relu: bool, x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    given = [value for value in (x, weight, bias) if value is not None]
    ours = [value.detach().requires_grad_() for value in given]
    exact = [value.detach().double().requires_grad_() for value in given]
    out = linear(*ours, relu=relu)
    expected = op.reference(*exact, relu=relu)
    assert out.shape == expected.shape
    grad = torch.randn_like(expected).float()
    found = torch.autograd.grad(out, ours, grad)
    wanted = torch.autograd.grad(expected, exact, grad.double())
    for one, other in zip((out, *found), (expected, *wanted), strict=True):
        size = float(other.detach().abs().max()) if other.numel() else 0.0
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=2e-6 * size)


@pytest.mark.parametrize("tail", range(16))
def test_every_number_of_rows(convolved: list[int], tail: int) -> None:
    x, weight, bias = torch.randn(48 + tail, 37), torch.randn(21, 37), torch.randn(21)
    compare(False, x, weight, bias)
    assert convolved == [48 + tail]


@pytest.mark.parametrize("rows", [1, 2, 15, 16, 17, 300])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_with_and_without_bias_and_relu(
    convolved: list[int], rows: int, relu: bool, bias: bool
) -> None:
    compare(relu, torch.randn(rows, 24), torch.randn(33, 24), torch.randn(33) if bias else None)
    assert convolved


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda x: x.t().contiguous().t(),
    "columns of a wider one": lambda x: torch.cat([x, x], 1)[:, : x.size(1)],
    "every second row": lambda x: x.repeat_interleave(2, 0)[::2],
    "one row for all": lambda x: x[:1].expand_as(x),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_of_features_weights_and_gradients(convolved: list[int], layout: str) -> None:
    lay = LAYOUTS[layout]
    x, weight, bias = lay(torch.randn(70, 20)), torch.randn(30, 20), torch.randn(30)
    compare(False, x, weight, bias)
    compare(True, torch.randn(70, 20), lay(weight), bias)
    leaf = torch.randn(70, 20, requires_grad=True)
    grad = lay(torch.randn(70, 30))
    (found,) = torch.autograd.grad(linear(leaf, weight, bias), leaf, grad)
    torch.testing.assert_close(found, grad @ weight)
    assert len(convolved) == 3


def test_more_than_two_dimensions(convolved: list[int]) -> None:
    x, weight, bias = torch.randn(5, 7, 20), torch.randn(30, 20), torch.randn(30)
    compare(False, x, weight, bias)
    compare(False, x.transpose(0, 1), weight, bias)
    assert convolved == [35, 35]


@pytest.mark.parametrize("is_narrow", [False, True])
def test_what_it_gives_may_be_changed_in_place(convolved: list[int], is_narrow: bool) -> None:
    weight = torch.randn(30, 20, requires_grad=True)
    x = torch.randn(41, 20)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_narrow):
        out, other = linear(x, weight), linear(x, weight).relu()
        out.relu_()
    (found,) = torch.autograd.grad(out.float().sum(), weight)
    (expected,) = torch.autograd.grad(other.float().sum(), weight)
    assert torch.equal(out, other)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_only_the_gradients_that_are_asked_for(convolved: list[int], wanted: tuple[int]) -> None:
    given = [torch.randn(40, 20), torch.randn(30, 20), torch.randn(30)]
    for place in wanted:
        given[place].requires_grad_()
    linear(*given).sum().backward()
    assert [place for place in range(3) if given[place].grad is not None] == list(wanted)


def test_nan_and_infinity_go_where_torch_lets_them(convolved: list[int]) -> None:
    x, weight = torch.randn(40, 20), torch.randn(30, 20)
    x[3, 4], x[20, 0], x[39] = torch.nan, torch.inf, -torch.inf
    ours, theirs = (value.clone().requires_grad_() for value in (weight, weight))
    out, expected = linear(x, ours, relu=True), op.reference(x, theirs, relu=True)
    assert torch.equal(out.isnan(), expected.isnan()) and out[3].isnan().all()
    assert torch.equal(out.isinf(), expected.isinf())
    out.sum().backward()
    expected.sum().backward()
    assert torch.equal(ours.grad.isfinite(), theirs.grad.isfinite())


def test_zero_rows_and_zero_features(convolved: list[int], monkeypatch) -> None:
    monkeypatch.setattr(op, "LEAST", 1)
    compare(True, torch.randn(0, 20), torch.randn(30, 20), torch.randn(30))
    compare(False, torch.randn(20, 0), torch.randn(30, 0), torch.randn(30))
    assert not convolved


def test_a_second_derivative_is_torchs(convolved: list[int]) -> None:
    x, weight, bias = torch.randn(20, 5), torch.randn(6, 5), torch.randn(6)
    found = []
    for function in (linear, op.reference):
        leaves = [value.clone().requires_grad_() for value in (x, weight, bias)]
        first = torch.autograd.grad(
            function(*leaves, relu=True).square().sum(), leaves, create_graph=True
        )
        found.append(torch.autograd.grad(sum(each.square().sum() for each in first), leaves))
    assert convolved
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-2)


def test_the_same_bits_every_time(convolved: list[int]) -> None:
    given = [torch.randn(1000, 64), torch.randn(96, 64), torch.randn(96)]

    def bits() -> list[Tensor]:
        leaves = [value.clone().requires_grad_() for value in given]
        out = linear(*leaves, relu=True)
        return [out, *torch.autograd.grad(out, leaves, torch.ones_like(out))]

    first = bits()
    for _ in range(3):
        assert all(map(torch.equal, first, bits()))


def test_what_is_not_float32_on_a_cpu_is_left_to_torch(convolved: list[int]) -> None:
    x, weight = torch.randn(40, 20), torch.randn(30, 20)
    compare(False, x.double(), weight.double(), None)
    linear(x.bfloat16(), weight.bfloat16())
    with torch.autocast("cpu", torch.float16):
        assert linear(x, weight).dtype == torch.float16
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        linear(x, weight)
    finally:
        torch.set_float32_matmul_precision(before)
    torch.func.vmap(linear, (0, None))(x.view(4, 10, 20), weight)
    torch.func.grad(lambda w: linear(x, w).sum())(weight)
    assert linear(x.to("meta"), weight.to("meta")).is_meta
    torch.jit.trace(linear, (x, weight), check_trace=False)
    with pytest.raises(RuntimeError, match="shapes"):
        linear(x, weight.t())
    assert not convolved


@pytest.mark.parametrize("rows", [1, 15, 16, 40, 4001])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("chosen", [*itertools.product(ways.PAIRS["bfloat16"], repeat=3)])
def test_under_autocast_it_is_torchs_product_in_bfloat16(
    rows: int, dtype: torch.dtype, relu: bool, chosen: tuple[str, ...], monkeypatch
) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(ways, "ways_of", lambda *of: asked.append(of) or ways.Ways(*chosen))
    given = torch.randn(rows, 20).to(dtype), torch.randn(30, 20), torch.randn(30)
    found = []
    for function in (linear, op.reference):
        leaves = [value.clone().requires_grad_() for value in given]
        with torch.autocast("cpu", torch.bfloat16):
            out = function(*leaves, relu=relu)
        assert out.dtype == torch.bfloat16 and out.shape == (rows, 30) and out.is_contiguous()
        grad = torch.linspace(-1, 1, out.numel()).view(out.shape).bfloat16()
        found.append((out, *torch.autograd.grad(out, leaves, grad)))
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        size = float(other.detach().abs().max())
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2 * size)
    assert asked == [(rows, 20, 30, "bfloat16")]


def test_widened_products_differ_from_exact_ones_of_the_rounded_numbers_in_the_last_bit() -> None:
    x, weight = torch.randn(500, 64), torch.randn(40, 64)
    exact = x.bfloat16().double() @ weight.bfloat16().double().t()
    out = products.forward(x, weight.bfloat16(), None, ways.WIDENED)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-5)
    exact = out.double().t() @ x.bfloat16().double()
    torch.testing.assert_close(
        products.grad_weight(out, x, ways.WIDENED).double(), exact, rtol=1e-4, atol=1e-2
    )


def test_batches_of_many_sizes_are_multiplied_in_few() -> None:
    sizes = {padded(torch.ones(rows, 1), torch.bfloat16).size(0) for rows in range(700, 900)}
    assert len(sizes) == 8
    for rows in (1, 17, 2000, 2047, 13_001, 100_003):
        out = padded(torch.ones(rows, 1), torch.bfloat16).float()
        assert out.sum() == rows and 0 <= out.size(0) - rows < max(32, rows / 64)
    large = torch.ones(100_003, 1)
    assert padded(large, torch.float32) is large


def test_a_second_derivative_under_autocast() -> None:
    x, weight = torch.randn(20, 5), torch.randn(6, 5)
    leaves = [value.requires_grad_() for value in (x, weight)]
    with torch.autocast("cpu", torch.bfloat16):
        out = linear(*leaves).float().square().sum()
    first = torch.autograd.grad(out, leaves, create_graph=True)
    second = torch.autograd.grad(sum(each.sum() for each in first), leaves)
    product = leaves[0] @ leaves[1].t()
    exact = torch.autograd.grad(product.square().sum(), leaves, create_graph=True)
    exact = torch.autograd.grad(sum(each.sum() for each in exact), leaves)
    for one, other in zip(second, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.02 * float(other.abs().max()))


def test_backward_under_autocast_stays_float32(convolved: list[int]) -> None:
    x, weight = torch.randn(40, 20), torch.randn(30, 20, requires_grad=True)
    out = linear(x, weight).sum()
    with torch.autocast("cpu", torch.bfloat16):
        out.backward()
    torch.testing.assert_close(weight.grad, x.sum(0).expand_as(weight))


def test_an_export_has_no_size_compared_and_no_convolution(convolved: list[int]) -> None:
    layer = torch.nn.Linear(20, 30)
    layer.forward = lambda x: linear(x, layer.weight, layer.bias)
    shape = {"x": {0: torch.export.Dim("rows", min=2)}}
    program = torch.export.export(layer, (torch.randn(40, 20),), dynamic_shapes=shape)
    names = {str(node.target) for node in program.graph.nodes}
    assert "aten.linear.default" in names and not convolved
    assert program.module()(torch.randn(7, 20)).shape == (7, 30)


def test_small_products_are_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(ways, "ways_of", lambda *_: pytest.fail("asked"))
    linear(torch.randn(140, 64), torch.randn(7, 64))
