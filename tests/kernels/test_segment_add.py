import pytest
import torch

from gbench.kernels import segment_add
from gbench.kernels.segment_add import reference

POINTERS = {"no-segments": [0], "empty-segments": [0, 0, 0], "mixed": [0, 0, 1, 1, 6, 200, 200]}


@pytest.mark.parametrize("pointers", POINTERS.values(), ids=POINTERS)
def test_agrees_with_the_reference(pointers, width, dtype, assert_agrees) -> None:
    ptr = torch.tensor(pointers, dtype=torch.int32)
    x, v = torch.randn(pointers[-1], width), torch.randn(len(pointers) - 1, width)
    assert_agrees(
        lambda x, v: segment_add(ptr, x, v),
        lambda x, v: reference(ptr, x, v),
        x.to(dtype),
        v.to(dtype),
    )


def test_has_the_bits_of_an_index() -> None:
    """So that runs with a virtual node keep their numbers: both add a segment's rows in order."""
    ptr, index = torch.tensor([0, 700, 700, 1000], dtype=torch.int32), torch.tensor([0, 2])
    index = index.repeat_interleave(torch.tensor([700, 300]))
    x, v = torch.randn(1000, 30), torch.randn(3, 30, requires_grad=True)
    ours, indexed = segment_add(ptr, x, v), x + v.index_select(0, index)
    assert torch.equal(ours, indexed)
    grad = torch.randn(1000, 30)
    assert torch.equal(*(torch.autograd.grad(out, v, grad)[0] for out in (ours, indexed)))


def test_wrong_arguments_are_named() -> None:
    x, v = torch.randn(5, 3), torch.randn(2, 3)
    ptr = torch.tensor([0, 2, 5], dtype=torch.int32)
    with pytest.raises(TypeError, match="int32"):
        segment_add(ptr.long(), x, v)
    with pytest.raises(ValueError, match="rise from 0 to 5"):
        segment_add(torch.tensor([0, 2, 4], dtype=torch.int32), x, v)
    with pytest.raises(ValueError, match=r"v has shape \(1, 3\): it should be \(2, 3\)"):
        segment_add(ptr, x, v[:1])
    with pytest.raises(TypeError, match=r"v is torch\.float64"):
        segment_add(ptr, x, v.double())
