"""What backward computes again: the same gradients, of tensors that are gone meanwhile."""

import weakref

import torch

from gbench.models.again import Again, not_kept


def test_a_tensor_is_gone_until_backward_asks_for_it() -> None:
    x = torch.randn(5, 3, requires_grad=True)
    weight = torch.randn(3, 2, requires_grad=True)
    squares = x.detach().square()
    seen = weakref.ref(squares)
    with not_kept(squares, Again(lambda: x.square())):
        out = squares @ weight
    expected = squares.t() @ torch.ones(5, 2)
    del squares
    assert seen() is None
    out.sum().backward()
    torch.testing.assert_close(weight.grad, expected)


def test_what_was_computed_again_is_gone_after_its_use() -> None:
    again = Again(lambda: torch.ones(2))
    seen = weakref.ref(again())
    assert seen() is None
