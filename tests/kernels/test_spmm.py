import pytest
import torch
from torch_geometric.nn import GraphConv, SimpleConv
from torch_geometric.utils import scatter

from gbench.kernels import CSR, spmm
from gbench.kernels.spmm import reference


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_agrees_with_the_reference(graph, width, dtype, reduce, assert_agrees) -> None:
    x = torch.randn(graph.num_cols, width)
    x = (x * 2).round() if reduce == "max" else x  # ties: their gradient is shared
    assert_agrees(
        lambda x: spmm(graph, x, reduce=reduce),
        lambda x: reference(graph, x, reduce=reduce),
        x.to(dtype),
    )


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_weighted_agrees_with_the_reference(graph, width, dtype, reduce, assert_agrees) -> None:
    assert_agrees(
        lambda x, weight: spmm(graph, x, weight, reduce),
        lambda x, weight: reference(graph, x, weight, reduce),
        torch.randn(graph.num_cols, width).to(dtype),
        torch.randn(graph.num_entries).to(dtype),
    )


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_agrees_with_pyg(random_graph, reduce) -> None:
    x = torch.randn(random_graph.num_cols, 9)
    expected = SimpleConv(aggr=reduce)(x, random_graph.edge_index)
    torch.testing.assert_close(spmm(random_graph, x, reduce=reduce), expected)
    row = random_graph.row
    scattered = scatter(x[random_graph.col], row, 0, random_graph.num_rows, reduce=reduce)
    torch.testing.assert_close(spmm(random_graph, x, reduce=reduce), scattered)


def test_weighted_sum_is_pygs_graph_conv(random_graph) -> None:
    x, weight = torch.randn(random_graph.num_cols, 9), torch.rand(random_graph.num_entries)
    conv = GraphConv(9, 9, bias=False)
    torch.nn.init.eye_(conv.lin_rel.weight)
    torch.nn.init.zeros_(conv.lin_root.weight)
    torch.testing.assert_close(
        spmm(random_graph, x, weight), conv(x, random_graph.edge_index, weight)
    )


def test_rectangular_pattern_is_a_dense_product() -> None:
    dense = torch.randn(6, 11).relu().double()
    row, col = dense.nonzero(as_tuple=True)
    graph, order = CSR.from_edge_index(torch.stack([col, row]), 6, 11)
    weight, x = dense[row, col][order], torch.randn(11, 4, dtype=torch.float64)
    torch.testing.assert_close(spmm(graph, x, weight), dense @ x)


def test_a_bfloat16_hub_sums_in_float32() -> None:
    sources = torch.arange(4097)  # bfloat16 sums of ones stop at 256
    graph, _ = CSR.from_edge_index(torch.stack([sources, torch.zeros_like(sources)]), 4097)
    ones = torch.ones(4097, 5, dtype=torch.bfloat16)
    assert spmm(graph, ones)[0].tolist() == [4096.0] * 5  # 4097 rounded to bfloat16
    assert spmm(graph, ones, reduce="mean")[0].tolist() == [1.0] * 5


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_a_nan_reaches_exactly_the_rows_that_read_it(random_graph, reduce) -> None:
    x = torch.randn(random_graph.num_cols, 3)
    x[7, 1] = torch.nan
    reads_it = torch.zeros(random_graph.num_rows, dtype=torch.bool)
    reads_it[random_graph.row[random_graph.col == 7]] = True
    found = spmm(random_graph, x, reduce=reduce).isnan()
    assert torch.equal(found[:, 1], reads_it)
    assert not found[:, [0, 2]].any()


def test_a_sum_keeps_no_features_alive(random_graph) -> None:
    x = torch.randn(random_graph.num_cols, 9, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        spmm(random_graph, x)
        assert saved == []
        spmm(random_graph, x, reduce="max")
    assert len(saved) == 2  # x and its maxima: the hook sees what is kept


def test_wrong_arguments_are_named(random_graph) -> None:
    x = torch.randn(40, 3)
    with pytest.raises(ValueError, match="reduce='min': pass one of sum, mean, max"):
        spmm(random_graph, x, reduce="min")
    with pytest.raises(ValueError, match=r"x has shape \(39, 3\): it should be \(40, any width\)"):
        spmm(random_graph, x[:39])
    with pytest.raises(ValueError, match="x has shape"):
        spmm(random_graph, x[:, 0])
    with pytest.raises(TypeError, match=r"x is torch\.int64"):
        spmm(random_graph, x.long())
    with pytest.raises(TypeError, match=r"weight is torch\.float64"):
        spmm(random_graph, x, torch.ones(120, dtype=torch.float64))
    with pytest.raises(ValueError, match="weight has shape"):
        spmm(random_graph, x, torch.ones(119))
    with pytest.raises(ValueError, match="max' takes no weight"):
        spmm(random_graph, x, torch.ones(120), "max")
    with pytest.raises(ValueError, match="x is on meta"):
        spmm(random_graph, x.to("meta"))


@pytest.mark.parametrize("width", [1, 7, 16, 32, 33, 64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_few_columns_by_vectors_have_the_bits_of_embedding_bag_in_short_rows(
    width, weighted, dtype
) -> None:
    from gbench.kernels.cpu.bag_numba import vector_sum

    generator = torch.Generator().manual_seed(0)
    # rows of 0 to 15 entries, and of 16, 17, 18, 19 and 83, whose terms are added four by four
    lengths = torch.tensor([*(k % 16 for k in range(55)), 16, 17, 18, 19, 83])
    count = int(lengths.sum())
    rowptr = torch.cat([torch.zeros(1).long(), lengths.cumsum(0)]).int()
    col = torch.randint(0, 70, (count,), generator=generator).int()
    x = torch.randn(70, width, dtype=dtype)
    weight = torch.randn(count, dtype=dtype) if weighted else None
    expected = torch.nn.functional.embedding_bag(
        col, x, rowptr, mode="sum", per_sample_weights=weight, include_last_offset=True
    )
    found = vector_sum(rowptr, col, x, weight, None, None)
    if dtype == torch.float32:
        assert torch.equal(found[:55], expected[:55])
    torch.testing.assert_close(found, expected)
    if weighted:
        place = torch.randperm(count, generator=generator).int()
        placed = vector_sum(rowptr, col, x, weight, place, None)
        torch.testing.assert_close(placed, vector_sum(rowptr, col, x, weight[place], None, None))


@pytest.mark.parametrize("width", [7, 40, 100])
def test_many_entries_of_few_columns(width, assert_agrees) -> None:
    graph, _ = CSR.from_edge_index(torch.randint(0, 300, (2, 6000)), 301)
    assert_agrees(
        lambda x, weight: spmm(graph, x, weight),
        lambda x, weight: reference(graph, x, weight),
        torch.randn(301, width),
        torch.randn(6000),
    )


def test_a_nan_and_an_empty_row_among_many_entries() -> None:
    graph, _ = CSR.from_edge_index(torch.randint(0, 300, (2, 6000)), 301)
    x = torch.randn(301, 5)
    x[7, 2] = torch.nan
    out = spmm(graph, x)
    torch.testing.assert_close(out, reference(graph, x), equal_nan=True)
    assert 0 < out[:, 2].isnan().sum() < 301
    assert not out[300].any()
