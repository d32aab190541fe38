"""Dropout by a hash: the draws of its definition, in every type and at any number of threads."""

from __future__ import annotations

import pytest
import torch

from gbench.kernels.dropout import dropout, reference

SEED = torch.tensor(1234567890123)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (3, 4097), (2, 3, 4)], ids=str)
def test_it_drops_what_its_definition_drops(shape, dtype) -> None:
    x = torch.randn(shape).to(dtype)
    given = torch.ops.gbench.dropout(x, SEED, 0.3)
    torch.testing.assert_close(given, reference(x, SEED, 0.3).to(dtype))


def test_gradcheck_opcheck_and_strided_inputs() -> None:
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    drop = torch.ops.gbench.dropout.default
    assert torch.autograd.gradcheck(lambda x: drop(x, SEED, 0.5), (x,))
    torch.library.opcheck(drop, (x, SEED, 0.5))
    strided = x.detach().t().contiguous().t()
    assert torch.equal(drop(strided, SEED, 0.5), drop(x.detach(), SEED, 0.5))


def test_bitwise_the_same_at_any_number_of_threads(monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cpu.rows.CHUNK_WORK", 500)
    x, results = torch.randn(100_000), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        torch.manual_seed(7)
        results.append(dropout(x, 0.4))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
