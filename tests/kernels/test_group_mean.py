"""The mean of each group, given to its rows: by hand, and its gradient by differences."""

from __future__ import annotations

import pytest
import torch

from gbench.kernels import group_mean

PTR = torch.tensor([0, 2, 2, 3, 6], dtype=torch.int32)
COL = torch.tensor([4, 0, 2, 5, 1, 3], dtype=torch.int32)


def test_each_row_gets_its_groups_mean() -> None:
    x = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0], [9.0]])
    assert group_mean(PTR, COL, x).flatten().tolist() == [3.0, 5.0, 3.0, 5.0, 3.0, 5.0]


def test_gradient() -> None:
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: group_mean(PTR, COL, x), (x,))


def test_rows_that_are_not_listed_are_told() -> None:
    with pytest.raises(ValueError, match=r"x has shape \(7, 3\): it should be \(6, any width\)"):
        group_mean(PTR, COL, torch.randn(7, 3))
