"""Bias, activation and dropout on the CPU, of more than one block of draws and with ragged ends."""

import pytest
import torch

from gbench.kernels.act_dropout import act_dropout, reference


@pytest.mark.parametrize("act", ["none", "relu", "elu"])
@pytest.mark.parametrize("rate", [0.0, 0.6])
@pytest.mark.parametrize("shape", [(0, 5), (3, 7), (700, 13), (300, 64)])
def test_agrees_with_the_reference(act, rate, shape, dtype, assert_agrees) -> None:
    seed = torch.tensor(2**35 + 11) if rate else None
    assert_agrees(
        lambda x, bias: torch.ops.gbench.act_dropout(x, bias, seed, act, rate),
        lambda x, bias: reference(x, bias, seed, act, rate),
        torch.randn(shape).to(dtype),
        torch.randn(shape[1]).to(dtype),
        roundings=2,
    )


def test_elu_is_torchs_with_and_without_bias() -> None:
    x, bias = torch.randn(70, 9, requires_grad=True), torch.randn(9)
    for given in (None, bias):
        out = act_dropout(x, given, act="elu")
        expected = torch.nn.functional.elu(x if given is None else x + given)
        torch.testing.assert_close(out, expected)
        grad = torch.randn(70, 9)
        found, wanted = (torch.autograd.grad(y, x, grad)[0] for y in (out, expected))
        torch.testing.assert_close(found, wanted)


def test_elu_of_what_is_no_number_and_of_strided_rows() -> None:
    x = torch.tensor([[torch.nan, torch.inf, -torch.inf], [0.0, -1e-8, 2.0]]).t()
    torch.testing.assert_close(
        act_dropout(x, act="elu"), torch.nn.functional.elu(x), equal_nan=True
    )


def test_elu_of_no_columns_has_none() -> None:
    x, bias = torch.zeros(3, 0), torch.zeros(0)
    assert act_dropout(x, bias, act="elu", rate=0.0).shape == (3, 0)
