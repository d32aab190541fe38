import pytest
import torch
from torch_geometric.nn import GINEConv

from gbench.kernels import CSR, gine_aggregate, gine_dense
from gbench.kernels.gine_dense import reference


def test_agrees_with_the_reference(graph, width, dtype, assert_agrees) -> None:
    assert_agrees(
        lambda x, edge, eps: gine_dense(graph, x, edge, eps),
        lambda x, edge, eps: reference(graph, x, edge, eps),
        torch.randn(graph.num_rows, width).to(dtype),
        torch.randn(graph.num_entries, width).to(dtype),
        torch.tensor(0.3, dtype=dtype),
    )


def test_is_gine_aggregate_where_edges_are_rows_of_a_table(random_graph) -> None:
    x, table, eps = torch.randn(40, 6), torch.randn(5, 6), torch.tensor(0.25)
    code = torch.randint(0, 5, (120,))
    grads = []
    for call in (
        lambda x, t, e: gine_aggregate(random_graph, x, t, code, e),
        lambda x, t, e: gine_dense(random_graph, x, t[code], e),
    ):
        leaves = [value.clone().requires_grad_() for value in (x, table, eps)]
        out = call(*leaves)
        grads.append([out.detach(), *torch.autograd.grad(out.square().sum(), leaves)])
    for found, expected in zip(*grads, strict=True):
        torch.testing.assert_close(found, expected)


def test_is_pygs_gine_conv_with_its_linear_edge_encoder(random_graph) -> None:
    x, attr = torch.randn(40, 6), torch.randn(120, 3)
    conv = GINEConv(torch.nn.Linear(6, 6), eps=0.25, edge_dim=3)
    out = conv.nn(gine_dense(random_graph, x, conv.lin(attr), torch.tensor(0.25)))
    torch.testing.assert_close(out, conv(x, random_graph.edge_index, attr))


def test_no_message_is_kept_or_made(peak_of) -> None:
    graph, _ = CSR.from_edge_index(torch.randint(0, 20_000, (2, 200_000)), 20_000)
    x, edge = torch.randn(20_000, 64), torch.randn(200_000, 64)
    assert peak_of(lambda: gine_dense(graph, x, edge, torch.tensor(0.0))) < 0.5 * edge.nbytes


def test_a_message_of_exactly_zero_has_no_gradient(random_graph) -> None:
    x = torch.ones(40, 2, requires_grad=True)
    edge = torch.full((120, 2), -1.0, requires_grad=True)
    gine_dense(random_graph, x, edge, torch.tensor(0.0)).sum().backward()
    assert torch.equal(x.grad, torch.ones(40, 2))  # the node itself only
    assert torch.equal(edge.grad, torch.zeros(120, 2))


def test_a_nan_of_an_edge_reaches_its_receiver_alone(random_graph) -> None:
    edge = torch.zeros(120, 3)
    edge[17, 1] = torch.nan
    found = gine_dense(random_graph, torch.randn(40, 3), edge, torch.tensor(0.0)).isnan()
    assert found.nonzero().tolist() == [[int(random_graph.row[17]), 1]]


def test_wrong_arguments_are_named(random_graph) -> None:
    x, edge, eps = torch.randn(40, 3), torch.randn(120, 3), torch.tensor(0.0)
    with pytest.raises(ValueError, match="edge has shape"):
        gine_dense(random_graph, x, edge[:, :2], eps)
    with pytest.raises(TypeError, match=r"edge is torch\.float64"):
        gine_dense(random_graph, x, edge.double(), eps)
    with pytest.raises(ValueError, match="eps has shape"):
        gine_dense(random_graph, x, edge, eps[None])
