import pytest
import torch
from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool

from gbench.kernels import segment_reduce
from gbench.kernels.segment_reduce import reference

POINTERS = {
    "no-segments": [0],
    "empty-segments": [0, 0, 0],
    "one": [0, 9],
    "mixed": [0, 0, 1, 1, 6, 200, 200],
}
POOLS = {"sum": global_add_pool, "mean": global_mean_pool, "max": global_max_pool}


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
@pytest.mark.parametrize("pointers", POINTERS.values(), ids=POINTERS)
def test_agrees_with_the_reference(pointers, width, dtype, reduce, assert_agrees) -> None:
    ptr = torch.tensor(pointers, dtype=torch.int32)
    x = torch.randn(pointers[-1], width)
    x = (x * 2).round() if reduce == "max" else x
    assert_agrees(
        lambda x: segment_reduce(ptr, x, reduce), lambda x: reference(ptr, x, reduce), x.to(dtype)
    )


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_is_pygs_readout(reduce) -> None:
    ptr = torch.tensor([0, 4, 5, 12], dtype=torch.int32)
    x = torch.randn(12, 6)
    batch = torch.tensor([0] * 4 + [1] + [2] * 7)
    torch.testing.assert_close(segment_reduce(ptr, x, reduce), POOLS[reduce](x, batch))


def test_a_long_bfloat16_segment_sums_in_float32() -> None:
    ptr, ones = torch.tensor([0, 4097], dtype=torch.int32), torch.ones(4097, 5).bfloat16()
    assert segment_reduce(ptr, ones).tolist() == [[4096.0] * 5]  # 4097 rounded to bfloat16
    assert segment_reduce(ptr, ones, "mean").tolist() == [[1.0] * 5]


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_a_nan_stays_in_its_segment_and_column(reduce) -> None:
    x = torch.randn(9, 3)
    x[5, 1] = torch.nan
    found = segment_reduce(torch.tensor([0, 4, 7, 9], dtype=torch.int32), x, reduce).isnan()
    assert found.nonzero().tolist() == [[1, 1]]


def test_wrong_arguments_are_named() -> None:
    x = torch.randn(5, 3)
    with pytest.raises(TypeError, match="int32"):
        segment_reduce(torch.tensor([0, 5]), x)
    for wrong in ([0, 4], [1, 5], [0, 6, 5], [0, 6]):
        with pytest.raises(ValueError, match="rise from 0 to 5"):
            segment_reduce(torch.tensor(wrong, dtype=torch.int32), x)
    with pytest.raises(ValueError, match="reduce='min'"):
        segment_reduce(torch.tensor([0, 5], dtype=torch.int32), x, "min")
    with pytest.raises(ValueError, match="x is on meta"):
        segment_reduce(torch.tensor([0, 5], dtype=torch.int32), x.to("meta"))
