"""Softmax over all pairs of each receiver."""

import pytest
import torch

from gbench.kernels import Pairs, pair_softmax
from gbench.kernels.pair_softmax import reference

SIZES = {"none": [], "one": [1], "several": [3, 0, 1, 7, 20, 2]}


def pairs_of(sizes: list[int]) -> Pairs:
    return Pairs.of(torch.tensor([0, *sizes]).cumsum(0).int(), sum(sizes))


@pytest.mark.parametrize("width", [1, 8, 33])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_agrees_with_the_reference(sizes, width, dtype, assert_agrees) -> None:
    pairs = pairs_of(sizes)
    assert_agrees(
        lambda score: pair_softmax(pairs, score),
        lambda score: reference(pairs, score),
        torch.randn(sum(n * n for n in sizes), width).to(dtype),
        roundings=2,
    )


def test_is_torchs_softmax_of_each_graph() -> None:
    score = torch.randn(13, 4).double() * 300
    found = pair_softmax(pairs_of([2, 3]), score)
    blocks = [block.view(n, n, 4) for n, block in zip((2, 3), score.split([4, 9]), strict=True)]
    wanted = torch.cat([block.softmax(1).flatten(0, 1) for block in blocks])
    torch.testing.assert_close(found, wanted)


def test_a_nan_stays_in_its_row_and_column() -> None:
    score = torch.randn(13, 2)
    score[5, 1] = torch.nan
    assert pair_softmax(pairs_of([2, 3]), score).isnan().nonzero().tolist() == [
        [4, 1],
        [5, 1],
        [6, 1],
    ]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="12 rows of pairs: the graphs' nodes make 13 pairs"):
        pair_softmax(pairs_of([2, 3]), torch.randn(12, 2))
    with pytest.raises(TypeError, match=r"score is torch\.int64"):
        pair_softmax(pairs_of([2, 3]), torch.zeros(13, 2).long())
