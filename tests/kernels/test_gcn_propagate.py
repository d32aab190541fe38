from functools import partial

import pytest
import torch
from torch_geometric.nn import GCNConv, SGConv

from gbench.kernels import CSR, gcn_propagate
from gbench.kernels.gcn_propagate import reference


@pytest.mark.parametrize("hops", [1, 2, 5])
def test_agrees_with_the_reference(graph, width, dtype, hops, assert_agrees) -> None:
    assert_agrees(
        lambda x: gcn_propagate(graph, x, hops),
        lambda x: reference(graph, x, hops),
        torch.randn(graph.num_rows, width).to(dtype),
        roundings=hops,
    )


@pytest.mark.parametrize("hops", [0, 1, 3])
def test_bias_where_the_last_hop_writes(graph, width, dtype, hops, assert_agrees) -> None:
    assert_agrees(
        lambda x, bias: gcn_propagate(graph, x, hops, bias=bias),
        lambda x, bias: reference(graph, x, hops, bias=bias),
        torch.randn(graph.num_rows, width).to(dtype),
        torch.randn(width).to(dtype),
        roundings=hops + 1,
    )


@pytest.mark.parametrize("hops", [0, 1, 3])
def test_relu_where_the_last_hop_writes(random_graph, width, dtype, hops) -> None:
    x = torch.randn(40, width).to(dtype).requires_grad_()
    bias = torch.randn(width).to(dtype).requires_grad_()
    plain = gcn_propagate(random_graph, x, hops, bias=bias)
    out = gcn_propagate(random_graph, x, hops, bias=bias, relu=True)
    assert torch.equal(out, plain.relu())
    grad = torch.randn(40, width).to(dtype)
    found = torch.autograd.grad(out, [x, bias], grad)
    expected = torch.autograd.grad(plain, [x, bias], torch.where(out > 0, grad, 0))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_an_output_of_exactly_zero_has_no_gradient() -> None:
    graph, _ = CSR.from_edge_index(torch.zeros(2, 0).long(), 3)
    x = torch.tensor([[1.0], [0.0], [-1.0]], requires_grad=True)
    gcn_propagate(graph, x, relu=True).sum().backward()
    assert x.grad.flatten().tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("hops", [1, 2, 5])
def test_memory_beside_the_input_is_at_most_two_matrices_of_its_size(hops, peak_of) -> None:
    graph, _ = CSR.from_edge_index(torch.randint(0, 100_000, (2, 100_000)), 100_000)
    x = torch.randn(100_000, 64)
    assert peak_of(lambda: gcn_propagate(graph, x, hops)) < 2.1 * x.nbytes


def test_backward_of_relu_and_dropout_makes_one_matrix_of_the_gradients_size(peak_of) -> None:
    graph, _ = CSR.from_edge_index(torch.randint(0, 100_000, (2, 100_000)), 100_000)
    x = torch.randn(100_000, 64, requires_grad=True)
    out = gcn_propagate(graph, x, relu=True, rate=0.5)
    grad = torch.randn_like(out)
    backward = partial(torch.autograd.grad, out, x, grad, retain_graph=True)
    assert peak_of(backward) < 1.8 * x.nbytes  # and a panel of half its width


@pytest.mark.parametrize("relu", [True, False])
def test_backward_leaves_the_gradient_that_it_is_given(random_graph, relu) -> None:
    x, bias = torch.randn(40, 30, requires_grad=True), torch.randn(30, requires_grad=True)
    grad = torch.randn(40, 30)
    given = grad.clone()
    gcn_propagate(random_graph, x, 2, bias=bias, relu=relu).backward(grad)
    assert torch.equal(grad, given)


def test_nothing_of_the_features_is_kept_without_a_relu(random_graph) -> None:
    kept: list[torch.Tensor] = []
    x, bias = torch.randn(40, 30, requires_grad=True), torch.randn(30, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        gcn_propagate(random_graph, x, 3, bias=bias)
    assert all(not t.is_floating_point() for t in kept)


def simple_graph() -> CSR:
    """No self-loops and no repeated edges, where PyG's conventions and ours are the same."""
    edges = torch.randint(0, 30, (2, 90), generator=torch.Generator().manual_seed(2))
    edges = edges[:, edges[0] != edges[1]].unique(dim=1)
    return CSR.from_edge_index(edges, 30)[0]


def test_one_hop_is_pygs_gcn_conv() -> None:
    graph, x = simple_graph(), torch.randn(30, 8)
    conv = GCNConv(8, 8, bias=False)
    torch.nn.init.eye_(conv.lin.weight)
    torch.testing.assert_close(gcn_propagate(graph, x), conv(x, graph.edge_index))


def test_many_hops_are_pygs_sg_conv() -> None:
    graph, x = simple_graph(), torch.randn(30, 8)
    conv = SGConv(8, 8, K=4, bias=False)
    torch.nn.init.eye_(conv.lin.weight)
    torch.testing.assert_close(gcn_propagate(graph, x, 4), conv(x, graph.edge_index))


def test_the_square_root_of_degrees_is_the_eigenvector_of_one() -> None:
    edges = simple_graph().edge_index
    graph, _ = CSR.from_edge_index(torch.cat([edges, edges.flip(0)], 1).unique(dim=1), 30)
    root = (graph.in_degree + 1).double().sqrt()[:, None]
    torch.testing.assert_close(gcn_propagate(graph, root, 7), root)


def test_backward_of_a_directed_graph_is_the_transposed_matrix() -> None:
    graph = simple_graph()
    matrix = gcn_propagate(graph, torch.eye(30, dtype=torch.float64), 2)
    x = torch.randn(30, 30, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(gcn_propagate(graph, x, 2), x, torch.eye(30, dtype=torch.float64))
    assert not torch.allclose(matrix, matrix.T)
    torch.testing.assert_close(grad, matrix.T)


def test_no_hop_changes_nothing(random_graph) -> None:
    x = torch.randn(40, 3)
    assert torch.equal(gcn_propagate(random_graph, x, 0), x)


def test_wrong_arguments_are_named(random_graph) -> None:
    with pytest.raises(ValueError, match="hops=-1"):
        gcn_propagate(random_graph, torch.randn(40, 3), -1)
    with pytest.raises(ValueError, match="x has shape"):
        gcn_propagate(random_graph, torch.randn(41, 3))
    with pytest.raises(ValueError, match="bias has shape"):
        gcn_propagate(random_graph, torch.randn(40, 3), bias=torch.randn(4))
    wide, _ = CSR.from_edge_index(torch.tensor([[4], [0]]), 2, 5)
    with pytest.raises(ValueError, match="2 rows and 5 columns"):
        gcn_propagate(wide, torch.randn(2, 3))
