import pytest
import torch

from gbench.kernels.inverse_sqrt import inverse_sqrt, reference


def draw(count: int, size: int) -> torch.Tensor:
    factor = torch.randn(count, size, size, dtype=torch.float64)
    return factor @ factor.mT + torch.eye(size)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_its_square_is_the_inverse(size: int) -> None:
    blocks = draw(50, size)
    root = inverse_sqrt(blocks)
    eye = torch.eye(size, dtype=torch.float64).expand(50, size, size)
    torch.testing.assert_close(root @ root @ blocks, eye)
    torch.testing.assert_close(root, root.mT)
    value, vector = torch.linalg.eigh(blocks)
    torch.testing.assert_close(root, vector @ (value.rsqrt()[:, :, None] * vector.mT))
    single = inverse_sqrt(blocks.float())
    torch.testing.assert_close(single, root.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_gradients_are_those_of_the_iteration(size: int) -> None:
    ours, theirs = (draw(20, size).requires_grad_() for _ in range(2))
    theirs.data = ours.detach().clone()
    grad = torch.randn(20, size, size, dtype=torch.float64)
    grad = grad + grad.mT  # a symmetric root receives a symmetric gradient
    (found,) = torch.autograd.grad(inverse_sqrt(ours), ours, grad)
    (wanted,) = torch.autograd.grad(reference(theirs), theirs, grad)
    torch.testing.assert_close(found, wanted)


def test_equal_eigenvalues_have_a_gradient() -> None:
    # (2I + H)^-1/2 = I / √2 - H / (2 · 2^1.5) + …, whatever the eigenvectors
    blocks = (2 * torch.eye(3, dtype=torch.float64)).expand(4, 3, 3).clone().requires_grad_()
    grad = torch.randn(4, 3, 3, dtype=torch.float64)
    (found,) = torch.autograd.grad(inverse_sqrt(blocks), blocks, grad)
    torch.testing.assert_close(found, -grad / (2 * 2**1.5))
    near = (blocks.detach() + 1e-9 * draw(4, 3)).requires_grad_()
    (found,) = torch.autograd.grad(inverse_sqrt(near), near, grad)
    torch.testing.assert_close(found, -grad / (2 * 2**1.5), rtol=1e-6, atol=1e-6)


def test_wide_ranges_of_eigenvalues() -> None:
    value = torch.tensor([1.0, 1e3, 1e7], dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    root = inverse_sqrt((basis * value @ basis.T)[None])[0]
    torch.testing.assert_close(root, basis * value.rsqrt() @ basis.T, rtol=1e-7, atol=1e-9)


def test_wrong_arguments_are_named() -> None:
    assert inverse_sqrt(torch.zeros(0, 3, 3)).shape == (0, 3, 3)
    with pytest.raises(ValueError, match="blocks has shape"):
        inverse_sqrt(torch.zeros(2, 3, 4))
    with pytest.raises(TypeError, match=r"blocks is torch\.bfloat16"):
        inverse_sqrt(torch.zeros(2, 3, 3, dtype=torch.bfloat16))
