import pytest
import torch
from torch_geometric.nn import GINEConv

from gbench.kernels import CSR, gine_aggregate
from gbench.kernels.gine_aggregate import reference


def test_agrees_with_the_reference(graph, width, dtype, assert_agrees) -> None:
    code = torch.randint(0, 7, (graph.num_entries,), dtype=torch.uint8)
    assert_agrees(
        lambda x, table, eps: gine_aggregate(graph, x, table, code, eps),
        lambda x, table, eps: reference(graph, x, table, code, eps),
        torch.randn(graph.num_rows, width).to(dtype),
        torch.randn(7, width).to(dtype),
        torch.tensor(0.3, dtype=dtype),
    )


@pytest.mark.parametrize("num_codes", [1, 2, 3])
def test_rows_of_every_length_and_every_pattern_of_equal_codes(num_codes, assert_agrees) -> None:
    """Rows of up to three entries have walks of their own, which tell equal codes from others."""
    graph, _ = CSR.from_edge_index(torch.randint(0, 300, (2, 600)), 300)
    assert graph.in_degree.unique().tolist()[:6] == [0, 1, 2, 3, 4, 5]
    code = torch.randint(0, num_codes, (600,), dtype=torch.uint8)
    assert_agrees(
        lambda x, table, eps: gine_aggregate(graph, x, table, code, eps),
        lambda x, table, eps: reference(graph, x, table, code, eps),
        torch.randn(300, 5, dtype=torch.float64),
        torch.randn(num_codes, 5, dtype=torch.float64),
        torch.tensor(-1.0, dtype=torch.float64),
    )


@pytest.mark.parametrize("code_dtype", [torch.int32, torch.int64], ids=str)
def test_codes_of_any_integer_type(random_graph, code_dtype) -> None:
    x, table, eps = torch.randn(40, 3), torch.randn(5, 3), torch.tensor(0.0)
    code = torch.randint(0, 5, (120,), dtype=torch.uint8)
    found = gine_aggregate(random_graph, x, table, code.to(code_dtype), eps)
    assert torch.equal(found, gine_aggregate(random_graph, x, table, code, eps))


def test_relabelled_nodes_give_relabelled_rows() -> None:
    edges, code = torch.randint(0, 20, (2, 70)), torch.randint(0, 5, (70,))
    x, table = torch.randn(20, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    label, moved = torch.randperm(20), torch.empty(20, 3, dtype=torch.float64)
    moved[label] = x
    before, order = CSR.from_edge_index(edges, 20)
    after, new_order = CSR.from_edge_index(label[edges], 20)
    eps = torch.tensor(0.1, dtype=torch.float64)
    torch.testing.assert_close(
        gine_aggregate(after, moved, table, code[new_order], eps)[label],
        gine_aggregate(before, x, table, code[order], eps),
    )


def test_a_bfloat16_hub_sums_in_float32() -> None:
    sources = torch.arange(4097)  # bfloat16 sums of ones stop at 256
    graph, _ = CSR.from_edge_index(torch.stack([sources, torch.zeros_like(sources)]), 4097)
    x = torch.zeros(4097, 5, dtype=torch.bfloat16)
    table = torch.ones(1, 5, dtype=torch.bfloat16, requires_grad=True)
    code, eps = torch.zeros(4097, dtype=torch.uint8), torch.tensor(0.0, dtype=torch.bfloat16)
    out = gine_aggregate(graph, x, table, code, eps)
    assert out[0].tolist() == [4096.0] * 5  # 4097 rounded to bfloat16
    (grad,) = torch.autograd.grad(out, table, torch.ones_like(out))
    assert grad.tolist() == [[4096.0] * 5]


def test_is_pygs_gine_conv(random_graph) -> None:
    x, table = torch.randn(40, 6), torch.randn(5, 6)
    code = torch.randint(0, 5, (120,))
    conv = GINEConv(torch.nn.Identity(), eps=0.25)
    torch.testing.assert_close(
        gine_aggregate(random_graph, x, table, code, torch.tensor(0.25)),
        conv(x, random_graph.edge_index, table[code]),
    )


def test_a_message_of_exactly_zero_has_no_gradient(random_graph) -> None:
    x = torch.ones(40, 2, requires_grad=True)
    table = torch.full((1, 2), -1.0, requires_grad=True)
    code = torch.zeros(120, dtype=torch.uint8)
    out = gine_aggregate(random_graph, x, table, code, torch.tensor(0.0))
    out.sum().backward()
    assert torch.equal(x.grad, torch.ones(40, 2))  # the node itself only
    assert torch.equal(table.grad, torch.zeros(1, 2))


def test_a_nan_reaches_its_receivers(random_graph) -> None:
    x = torch.randn(40, 3)
    x[7, 1] = torch.nan
    code = torch.zeros(120, dtype=torch.uint8)
    found = gine_aggregate(random_graph, x, torch.zeros(1, 3), code, torch.tensor(0.0)).isnan()
    expected = torch.zeros(40, 3, dtype=torch.bool)
    expected[random_graph.row[random_graph.col == 7], 1] = True
    expected[7, 1] = True
    assert torch.equal(found, expected)


@pytest.mark.parametrize("wrong", [-1, 5])
def test_a_code_outside_the_table_is_refused(random_graph, wrong) -> None:
    code = torch.zeros(120, dtype=torch.int32)
    code[77] = wrong
    with pytest.raises(IndexError, match=rf"edge_code\[77\] is {wrong}: the table has 5 rows"):
        gine_aggregate(random_graph, torch.randn(40, 3), torch.randn(5, 3), code, torch.tensor(0.0))


def test_wrong_arguments_are_named(random_graph) -> None:
    x, table, eps = torch.randn(40, 3), torch.randn(5, 3), torch.tensor(0.0)
    code = torch.zeros(120, dtype=torch.uint8)
    with pytest.raises(ValueError, match="table has shape"):
        gine_aggregate(random_graph, x, torch.randn(5, 4), code, eps)
    with pytest.raises(ValueError, match="edge_code has shape"):
        gine_aggregate(random_graph, x, table, code[:-1], eps)
    with pytest.raises(TypeError, match=r"edge_code is torch\.float32"):
        gine_aggregate(random_graph, x, table, code.float(), eps)
    with pytest.raises(ValueError, match="eps has shape"):
        gine_aggregate(random_graph, x, table, code, eps[None])
    with pytest.raises(TypeError, match=r"table is torch\.float64"):
        gine_aggregate(random_graph, x, table.double(), code, eps)


def test_autocast_brings_parameters_to_the_features_type(random_graph) -> None:
    table = torch.randn(5, 3, requires_grad=True)
    code = torch.zeros(120, dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.randn(40, 4) @ torch.randn(4, 3)
        out = gine_aggregate(random_graph, x, table, code, torch.tensor(0.0))
    out.sum().backward()
    assert out.dtype == torch.bfloat16
    assert table.grad.dtype == torch.float32
