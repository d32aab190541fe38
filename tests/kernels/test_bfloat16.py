import numpy
import torch

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.rows import array, compiled
from gbench.kernels.cpu.vectors import load, positive, row, store, total_of, zero


@compiled
def convert(x, out):
    for i in range(len(x)):
        out[i] = narrow(widen(x[i]), out)


@compiled
def vectors(lanes, x, out):
    """Twice the positive part of each row, by vectors; returns the sum of all that was written."""
    total = zero(lanes, x)
    for i in range(len(x)):
        for column in range(0, x.shape[1], len(lanes)):
            value = positive(load(lanes, x, i, column))
            value = value + value * widen(x.dtype.type(0)) + value
            total += value
            store(value, out, i, column)
    return total_of(total)


@compiled
def first_row(lanes, x, out):
    store(row(lanes, x, 0), out, 0, 0)


@compiled
def types_of(x):
    return zero_of(x), scratch(x, (2, 3))


def awkward_floats() -> torch.Tensor:
    """Every upper half of a float32, with lower halves at, beside and between the ties."""
    upper = torch.arange(2**16) << 16
    lower = torch.tensor([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
    bits = (upper[:, None] + lower).flatten()
    return torch.where(bits >= 2**31, bits - 2**32, bits).int().view(torch.float32)


def test_rounds_as_torch_does() -> None:
    x = awkward_floats()
    out, expected = torch.empty(len(x), dtype=torch.bfloat16), x.bfloat16()
    convert(array(x), array(out))
    assert torch.equal(out.isnan(), expected.isnan())
    is_number = ~expected.isnan()
    assert torch.equal(out.view(torch.int16)[is_number], expected.view(torch.int16)[is_number])
    back = torch.empty(len(x))
    convert(array(expected), array(back))
    assert torch.equal(back[is_number], expected[is_number].float())
    assert back[~is_number].isnan().all()


def test_vectors_round_as_torch_does() -> None:
    x = awkward_floats()
    x = x.view(-1, 6).repeat(1, 2)  # rows of 12: one full vector of 8 and half of one
    out = torch.empty(x.shape, dtype=torch.bfloat16)
    vectors((0,) * 8, array(x), array(out))
    expected = (x.relu() + x.relu() * 0 + x.relu()).bfloat16()
    torch.testing.assert_close(out, expected, rtol=0, atol=0, equal_nan=True)


def test_vectors_of_every_type_and_width() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        for width in (1, 7, 8, 33):
            x = torch.randn(5, width).to(dtype)
            out = torch.full_like(x, torch.nan)
            total = vectors((0,) * 8, array(x), array(out))
            assert torch.equal(out, 2 * x.relu())
            assert abs(total - 2 * x.double().relu().sum()) < 1e-4


def test_a_store_leaves_what_lies_past_the_row() -> None:
    for width in (1, 5, 8, 11):
        out = numpy.zeros((3, width), numpy.float32)
        first_row((0,) * 8, numpy.ones((1, 8), numpy.float32), out)
        assert out[0].tolist() == [1.0] * min(width, 8) + [0.0] * (width - 8)
        assert not out[1:].any()


def test_sums_of_bfloat16_are_float32() -> None:
    zero_32, sums = types_of(numpy.zeros(1, numpy.uint16))
    assert isinstance(zero_32, float)
    assert (sums.dtype, sums.shape) == (numpy.float32, (2, 3))
    assert types_of(numpy.zeros(1))[1].dtype == numpy.float64
