"""Stages of linear, norm, ReLU and dropout in one operation, against the modules one by one."""

import copy
import itertools

import pytest
import torch
from torch import nn

from gbench.kernels import normed_mlp as operation
from gbench.kernels.cpu import normed_mlp as blocks
from gbench.kernels.normed_mlp import Stage, fits, normed_mlp, reference


@pytest.fixture(autouse=True)
def little(monkeypatch) -> None:
    monkeypatch.setattr(operation, "MUCH", 0)
    monkeypatch.setattr(blocks, "ROWS", 16)


def modules(dtype: torch.dtype, *, dropouts: tuple[float, ...] = (0.2, 0.5)) -> list[nn.Module]:
    torch.manual_seed(0)
    widths = (7, 13, 5)[: len(dropouts) + 1]
    pairs = itertools.pairwise(widths)
    return [each.to(dtype) for a, b in pairs for each in (nn.Linear(a, b), nn.BatchNorm1d(b))]


def stages(parts: list[nn.Module], relu: bool, dropouts: tuple[float, ...]) -> list[Stage]:
    pairs = zip(parts[::2], parts[1::2], dropouts, strict=True)
    return [Stage(lin.weight, lin.bias, norm, relu, rate) for lin, norm, rate in pairs]


@pytest.mark.parametrize("rows", [2, 15, 16, 17, 100])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("dropouts", [(0.0,), (0.2, 0.5)])
def test_values_gradients_and_running_statistics(rows, relu, dropouts) -> None:
    ours = modules(torch.float64, dropouts=dropouts)
    theirs = copy.deepcopy(ours)
    found = []
    for parts, way in ((ours, lambda *given: normed_mlp(*given).out), (theirs, reference)):
        torch.manual_seed(1)
        x = torch.randn(rows, 7, dtype=torch.float64, requires_grad=True)
        torch.manual_seed(2)
        out = way(x, stages(parts, relu, dropouts))
        out.backward(torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape))
        grads = [p.grad for part in parts for p in part.parameters()]
        found.append([out, x.grad, *grads, *(b for part in parts for b in part.buffers())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)
    assert all(not part.bias.grad.any() for part in ours[::2])  # exactly, not nearly


def test_gradients_agree_with_differences() -> None:
    parts = modules(torch.float64)
    x = torch.randn(9, 7, dtype=torch.float64, requires_grad=True)

    def call(x: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return normed_mlp(x, stages(parts, False, (0.0, 0.5))).out

    weights = [p for part in parts for p in part.parameters()]
    assert torch.autograd.gradcheck(call, (x, *weights))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_output_again_and_on_more_threads_has_the_same_bits(dtype) -> None:
    outs, threads = [], torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        torch.manual_seed(4)
        x = torch.randn(100, 7, dtype=dtype)
        made = normed_mlp(x, stages(modules(dtype), True, (0.2, 0.5)))
        outs += [made.out, made.again()]
    torch.set_num_threads(threads)
    assert all(torch.equal(outs[0], out) for out in outs)


def test_a_number_that_is_none_stays_one() -> None:
    x = torch.randn(40, 7)
    x[3, 2] = torch.nan
    made = normed_mlp(x, stages(modules(torch.float32), True, (0.0, 0.0)))
    assert made.out.isnan().all()


def test_a_single_row_and_a_second_derivative_are_refused() -> None:
    given = stages(modules(torch.float32), True, (0.0, 0.0))
    with pytest.raises(ValueError, match="more than one row"):
        normed_mlp(torch.randn(1, 7), given)
    x = torch.randn(8, 7, requires_grad=True)
    (grad,) = torch.autograd.grad(normed_mlp(x, given).out.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_it_is_for_training_in_full_precision() -> None:
    parts = modules(torch.float32)
    given = stages(parts, True, (0.0, 0.0))
    x = torch.randn(8, 7)
    assert fits(x, given)
    assert not fits(x.bfloat16(), given)
    assert not fits(x.double(), given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not fits(x, given)
    parts[1].eval()
    assert not fits(x, given)
