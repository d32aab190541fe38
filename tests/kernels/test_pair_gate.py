"""What GRIT makes of each pair, and the sums of it."""

import pytest
import torch

from gbench.kernels import Pairs, pair_gate, pair_sum
from gbench.kernels.pair_gate import reference as gate_reference
from gbench.kernels.pair_sum import reference as sum_reference

SIZES = {"none": [], "one": [1], "several": [3, 0, 1, 7, 20, 2]}


def pairs_of(sizes: list[int]) -> Pairs:
    return Pairs.of(torch.tensor([0, *sizes]).cumsum(0).int(), sum(sizes))


def apart(*shape: int) -> torch.Tensor:
    """Numbers that are not near 0, where a root is steep."""
    x = torch.randn(*shape)
    return x + 0.5 * x.sign()


@pytest.mark.parametrize("width", [1, 8, 33])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_a_gate_agrees_with_the_reference(sizes, width, dtype, assert_agrees) -> None:
    pairs, nodes = pairs_of(sizes), sum(sizes)
    e = apart(sum(n * n for n in sizes), 2 * width).to(dtype)
    q = apart(nodes, width).abs().to(dtype)
    assert_agrees(
        lambda q, k, e: pair_gate(pairs, q, k, e),
        lambda q, k, e: gate_reference(pairs, q, k, e),
        *(q, q.flip(0).contiguous(), e),
        roundings=4,
    )


def test_a_pair_that_says_nothing_has_no_slope() -> None:
    """ρ is steep at 0 without end: what is multiplied by an exact 0 gets no gradient."""
    pairs, e = pairs_of([2]), torch.ones(4, 2)
    e[0, 0] = 0
    given = [torch.zeros(2, 1), torch.ones(2, 1), e]
    q, k, e = (x.requires_grad_() for x in given)
    found = torch.autograd.grad(pair_gate(pairs, q, k, e).sum(), (q, k, e))
    assert all(grad.isfinite().all() for grad in found)
    assert found[2][0].tolist() == [0, 1]
    assert found[0].tolist() == [[0.5], [1]]


@pytest.mark.parametrize(("heads", "width"), [(5, 5), (3, 12), (1, 7)])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_a_sum_agrees_with_the_reference(sizes, heads, width, dtype, assert_agrees) -> None:
    pairs, num_pairs = pairs_of(sizes), sum(n * n for n in sizes)
    assert_agrees(
        lambda weight, e: pair_sum(pairs, weight, e),
        lambda weight, e: sum_reference(pairs, weight, e),
        torch.randn(num_pairs, heads).to(dtype),
        torch.randn(num_pairs, width).to(dtype),
    )


def test_wrong_arguments_are_named() -> None:
    pairs = pairs_of([2, 3])
    q, e = torch.randn(5, 4), torch.randn(13, 8)
    with pytest.raises(ValueError, match="12 rows of pairs: the graphs' nodes make 13 pairs"):
        pair_gate(pairs, q, q, e[:12])
    with pytest.raises(ValueError, match=r"k has shape \(5, 3\)"):
        pair_gate(pairs, q, q[:, :3], e)
    with pytest.raises(ValueError, match="9 columns: they should be twice"):
        pair_gate(pairs, q, q, torch.randn(13, 9))
    with pytest.raises(ValueError, match="12 rows of pairs"):
        pair_sum(pairs, e[:12, :2], e[:12])
    with pytest.raises(ValueError, match="3 columns: they should divide 8"):
        pair_sum(pairs, e[:, :3], e)
