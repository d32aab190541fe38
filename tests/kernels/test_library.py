"""Calls on ordinary CPU tensors go past the dispatcher: whoever watches must see them still."""

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.profiler import profile

from gbench.kernels import CSR, spmm


def test_a_profiler_sees_the_operation(random_graph: CSR) -> None:
    x = torch.randn(40, 3, requires_grad=True)
    with profile() as seen:
        spmm(random_graph, x).sum().backward()
    names = {event.key for event in seen.key_averages()}
    assert {"gbench::spmm", "gbench::spmm_backward"} <= names


def test_fake_tensors_stay_fake(random_graph: CSR) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(40, 3, requires_grad=True)
        out = spmm(random_graph, x)
        (grad,) = torch.autograd.grad(out.sum(), x)
    assert isinstance(out, FakeTensor)
    assert isinstance(grad, FakeTensor)
    assert (out.shape, grad.shape) == ((40, 3), (40, 3))


def test_gradients_are_recorded_exactly_where_they_are_wanted(random_graph: CSR) -> None:
    x = torch.randn(40, 3)
    assert not spmm(random_graph, x).requires_grad
    assert spmm(random_graph, x.clone().requires_grad_()).requires_grad
    assert spmm(random_graph, torch.nn.Parameter(x)).requires_grad
    with torch.no_grad():
        assert not spmm(random_graph, torch.nn.Parameter(x)).requires_grad
