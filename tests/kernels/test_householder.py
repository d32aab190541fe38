import pytest
import torch

from gbench.kernels.householder import householder, reference


def draw(count: int, size: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(count, size * (size - 1) // 2, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("count", [0, 1, 16, 53])
def test_it_is_lapacks_product(size: int, count: int) -> None:
    parameters = draw(count, size)
    lower = torch.eye(size, dtype=torch.float64).repeat(count, 1, 1)
    row, col = torch.tril_indices(size, size, -1)
    lower[:, row, col] = parameters
    tau = 2 / lower.square().sum(1)
    expected = torch.linalg.householder_product(lower, tau)
    torch.testing.assert_close(householder(parameters, size), expected)
    torch.testing.assert_close(reference(parameters, size), expected)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_values_and_gradients_agree_with_the_reference(size, dtype, assert_agrees) -> None:
    assert_agrees(
        lambda p: householder(p, size),
        lambda p: reference(p, size),
        draw(37, size, dtype),
        roundings=8,
    )


def test_gradcheck_opcheck_and_no_second_derivative() -> None:
    parameters = draw(19, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: householder(p, 4), (parameters,))
    torch.library.opcheck(torch.ops.gbench.householder.default, (parameters, 4))
    q = householder(parameters, 4)
    backward = torch.ops.gbench.householder_backward.default
    torch.library.opcheck(backward, (torch.randn_like(q), parameters.detach(), q.detach()))
    (grad,) = torch.autograd.grad((q**3).sum(), parameters, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_bitwise_the_same_at_any_number_of_threads(monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cpu.rows.CHUNK_WORK", 500)
    parameters, grad = draw(1003, 3, torch.float32), torch.randn(1003, 3, 3)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        leaf = parameters.clone().requires_grad_()
        q = householder(leaf, 3)
        results.append((q, *torch.autograd.grad(q, leaf, grad)))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_strided_inputs() -> None:
    parameters, grad = draw(9, 3), torch.randn(9, 3, 3, dtype=torch.float64)
    expected = torch.autograd.functional.vjp(lambda p: householder(p, 3), parameters, grad)
    found = torch.autograd.functional.vjp(
        lambda p: householder(p, 3), parameters.T.contiguous().T, grad.mT.contiguous().mT
    )
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"parameters has shape \(4, 2\): it should be \(E, 3\)"):
        householder(torch.zeros(4, 2), 3)
    with pytest.raises(TypeError, match=r"parameters is torch\.bfloat16"):
        householder(torch.zeros(4, 3, dtype=torch.bfloat16), 3)
