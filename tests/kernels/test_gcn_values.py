import pytest
import torch
from torch_geometric.nn import GCNConv, SGConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from gbench.kernels import CSR, gcn_propagate
from gbench.kernels.gcn_propagate import reference
from gbench.kernels.gcn_values import gcn_values


@pytest.mark.parametrize("hops", [0, 1, 3])
def test_agrees_with_the_reference(graph, dtype, hops, assert_agrees) -> None:
    if hops:  # without hops the weights have no gradient
        assert_agrees(
            lambda x, w: gcn_propagate(graph, x, hops, edge_weight=w),
            lambda x, w: reference(graph, x, hops, edge_weight=w),
            torch.randn(graph.num_rows, 7).to(dtype),
            torch.rand(graph.num_entries).to(dtype),
            roundings=2 * hops,
        )
    x = torch.randn(graph.num_rows, 7)
    weight, bias = torch.rand(graph.num_entries), torch.randn(7)
    torch.testing.assert_close(
        gcn_propagate(graph, x, hops, bias=bias, relu=True, edge_weight=weight),
        reference(graph, x, hops, bias=bias, relu=True, edge_weight=weight),
    )


def test_weights_of_one_are_none(graph) -> None:
    x, ones = torch.randn(graph.num_rows, 5), torch.ones(graph.num_entries)
    torch.testing.assert_close(
        gcn_propagate(graph, x, 2, edge_weight=ones), gcn_propagate(graph, x, 2)
    )


def without_loops() -> tuple[CSR, torch.Tensor]:
    """Where PyG's convention, which keeps a stated loop's weight in place of 1, is ours."""
    edges = torch.randint(0, 30, (2, 90), generator=torch.Generator().manual_seed(2))
    graph, _ = CSR.from_edge_index(edges[:, edges[0] != edges[1]].unique(dim=1), 30)
    return graph, torch.rand(graph.num_entries)


def test_is_pygs_gcn_norm() -> None:
    graph, weight = without_loops()
    values = gcn_values(graph, weight)
    _, norm = gcn_norm(graph.edge_index, weight, 30)  # the loops stand last
    torch.testing.assert_close(torch.cat(values), norm)


def test_is_pygs_gcn_conv_with_the_gradient_of_the_weights() -> None:
    graph, weight = without_loops()
    x, conv, found = torch.randn(30, 8), GCNConv(8, 8, bias=False), []
    torch.nn.init.eye_(conv.lin.weight)
    for call in (
        lambda w: gcn_propagate(graph, x, edge_weight=w),
        lambda w: conv(x, graph.edge_index, w),
    ):
        leaf = weight.clone().requires_grad_()
        out = call(leaf)
        found.append((out.detach(), *torch.autograd.grad(out.square().sum(), leaf)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_many_hops_are_pygs_sg_conv() -> None:
    graph, weight = without_loops()
    x, conv = torch.randn(30, 8), SGConv(8, 8, K=3, bias=False)
    torch.nn.init.eye_(conv.lin.weight)
    torch.testing.assert_close(
        gcn_propagate(graph, x, 3, edge_weight=weight), conv(x, graph.edge_index, weight)
    )


def test_wrong_weights_are_named(random_graph) -> None:
    x = torch.randn(40, 3)
    with pytest.raises(ValueError, match="edge_weight has shape"):
        gcn_propagate(random_graph, x, edge_weight=torch.ones(7))
    with pytest.raises(TypeError, match=r"edge_weight is torch\.float64"):
        gcn_propagate(random_graph, x, edge_weight=torch.ones(120).double())
