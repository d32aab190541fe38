"""Sums over all pairs of each graph."""

import pytest
import torch

from gbench.kernels import CSR, Pairs, pair_conv
from gbench.kernels.pair_conv import reference

SIZES = {"none": [], "one": [1], "several": [3, 0, 1, 7, 20, 2]}


def pairs_of(sizes: list[int]) -> Pairs:
    node_ptr = torch.tensor([0, *sizes]).cumsum(0).int()
    return Pairs.of(node_ptr, sum(sizes))


@pytest.mark.parametrize("mean", [False, True], ids=["sum", "mean"])
@pytest.mark.parametrize(("heads", "width"), [(5, 5), (33, 33), (3, 12), (1, 7)])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_agrees_with_the_reference(sizes, heads, width, mean, dtype, assert_agrees) -> None:
    pairs, num_pairs = pairs_of(sizes), sum(n * n for n in sizes)
    assert_agrees(
        lambda psi, x: pair_conv(pairs, psi, x, mean=mean),
        lambda psi, x: reference(pairs, psi, x, mean),
        torch.randn(num_pairs, heads).to(dtype),
        torch.randn(sum(sizes), width).to(dtype),
    )


@pytest.mark.parametrize(("heads", "width"), [(6, 6), (2, 6)])
def test_drops_the_same_in_both_directions(heads, width, assert_agrees) -> None:
    pairs = pairs_of([4, 9])

    def seeded(psi: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(5)
        return pair_conv(pairs, psi, x, mean=True, dropout=0.4)

    torch.manual_seed(5)
    seed = torch.randint(2**63 - 1, ())
    assert_agrees(
        seeded,
        lambda psi, x: reference(pairs, psi, x, True, 0.4, seed),
        torch.randn(97, heads),
        torch.randn(13, width),
    )


def test_is_a_padded_convolution() -> None:
    """Σ_j ψ_ij x_j of each graph by itself, as a dense product."""
    sizes = [2, 5, 3]
    pairs = pairs_of(sizes)
    psi, x = torch.randn(38, 4).double(), torch.randn(10, 4).double()
    found = pair_conv(pairs, psi, x, mean=True)
    blocks = psi.split([n * n for n in sizes])
    wanted = [
        torch.einsum("ijd,jd->id", block.view(n, n, 4), own) / n
        for n, block, own in zip(sizes, blocks, x.split(sizes), strict=True)
    ]
    torch.testing.assert_close(found, torch.cat(wanted))


def test_where_pairs_stand() -> None:
    pairs = pairs_of([2, 3])
    assert pairs.receivers(13).tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert pairs.senders(13).tolist() == [0, 1, 0, 1, 2, 3, 4, 2, 3, 4, 2, 3, 4]
    assert pairs.diagonal().tolist() == [0, 3, 4, 8, 12]
    graph, _ = CSR.from_edge_index(torch.tensor([[1, 3, 2], [0, 2, 4]]), 5)
    assert pairs.entries(graph).tolist() == [1, 5, 10]


def test_wrong_arguments_are_named() -> None:
    pairs = pairs_of([2, 3])
    psi, x = torch.randn(13, 4), torch.randn(5, 4)
    with pytest.raises(ValueError, match="12 rows of pairs: the graphs' nodes make 13 pairs"):
        pair_conv(pairs, psi[:12], x)
    with pytest.raises(ValueError, match=r"x has shape \(4, 4\)"):
        pair_conv(pairs, psi, x[:4])
    with pytest.raises(ValueError, match="3 columns: they should divide x's 4"):
        pair_conv(pairs, psi[:, :3], x)
    with pytest.raises(ValueError, match="dropout=1"):
        pair_conv(pairs, psi, x, dropout=1.0)
    with pytest.raises(ValueError, match="psi is on meta"):
        pair_conv(pairs, psi.to("meta"), x)
    with pytest.raises(TypeError, match=r"x is torch\.float64"):
        pair_conv(pairs, psi, x.double())
