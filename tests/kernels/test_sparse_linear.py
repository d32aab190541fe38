"""The product of features stored by their non-zeros on the CPU, of few columns and of many."""

import pytest
import torch
from torch import Tensor

from gbench.kernels import CSR
from gbench.kernels.sparse_linear import reference, sparse_linear


@pytest.mark.parametrize("entries", [150, 6000])
@pytest.mark.parametrize("outputs", [1, 16, 40, 70])
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_agrees_with_the_reference(entries, outputs, rate, dtype, assert_agrees) -> None:
    generator = torch.Generator().manual_seed(0)
    ends = torch.stack(
        [torch.randint(0, size, (entries,), generator=generator) for size in (90, 300)]
    )
    pattern, _ = CSR.from_edge_index(ends.unique(dim=1), 301, 91)
    values = torch.randn(pattern.num_entries).to(dtype)
    seed = torch.tensor(77) if rate else None

    def exact(weight: Tensor, bias: Tensor) -> Tensor:
        return reference(pattern, values.to(weight), weight, bias, seed, rate)

    assert_agrees(
        lambda weight, bias: sparse_linear(pattern, values, weight, bias, seed, rate),
        exact,
        torch.randn(91, outputs).to(dtype),
        torch.randn(outputs).to(dtype),
        roundings=2,
    )


def test_without_bias_and_of_a_transposed_weight() -> None:
    ends = torch.stack([torch.randint(0, 90, (5000,)), torch.randint(0, 300, (5000,))])
    pattern, _ = CSR.from_edge_index(ends, 300, 90)
    values, weight = torch.randn(5000), torch.randn(12, 90)
    found = sparse_linear(pattern, values, weight.t())
    torch.testing.assert_close(
        found, reference(pattern, values, weight.t().contiguous(), None, None, 0.0)
    )


def test_values_that_want_a_gradient_get_one() -> None:
    ends = torch.stack([torch.randint(0, 9, (40,)), torch.randint(0, 7, (40,))])
    pattern, _ = CSR.from_edge_index(ends, 7, 9)
    inputs = torch.randn(40).double().requires_grad_(), torch.randn(9, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v, w: sparse_linear(pattern, v, w), inputs)
