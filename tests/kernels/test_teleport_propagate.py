import pytest
import torch
from torch_geometric.nn import APPNP

from gbench.kernels import CSR, gcn_propagate, teleport_propagate
from gbench.kernels.teleport_propagate import reference


@pytest.mark.parametrize("hops", [1, 2, 5])
def test_agrees_with_the_reference(graph, width, dtype, hops, assert_agrees) -> None:
    assert_agrees(
        lambda x: teleport_propagate(graph, x, 0.1, hops),
        lambda x: reference(graph, x, 0.1, hops),
        torch.randn(graph.num_rows, width).to(dtype),
        roundings=2 * hops,
    )


def test_a_hop_that_adds_what_it_is_given(graph, width, dtype, assert_agrees) -> None:
    assert_agrees(
        lambda x, home: teleport_propagate(graph, x, 0.3, home=home),
        lambda x, home: reference(graph, x, 0.3, home=home),
        torch.randn(graph.num_rows, width).to(dtype),
        torch.randn(graph.num_rows, width).to(dtype),
        roundings=2,
    )


def simple_graph() -> CSR:
    """No self-loops and no repeated edges, where PyG's conventions and ours are the same."""
    edges = torch.randint(0, 30, (2, 90), generator=torch.Generator().manual_seed(2))
    edges = edges[:, edges[0] != edges[1]].unique(dim=1)
    return CSR.from_edge_index(edges, 30)[0]


def test_is_pygs_appnp() -> None:
    graph, x = simple_graph(), torch.randn(30, 8)
    expected = APPNP(7, 0.2)(x, graph.edge_index)
    torch.testing.assert_close(teleport_propagate(graph, x, 0.2, 7), expected)


def test_nothing_returns_with_alpha_0_and_everything_with_1(random_graph) -> None:
    x, home = torch.randn(2, 40, 5)
    propagated = gcn_propagate(random_graph, x, 3)
    torch.testing.assert_close(teleport_propagate(random_graph, x, 0.0, 3), propagated)
    assert torch.equal(teleport_propagate(random_graph, x, 1.0, home=home), home)
    assert torch.equal(teleport_propagate(random_graph, x, 1.0, 3), x)
    assert torch.equal(teleport_propagate(random_graph, x, 0.5, 0), x)


def test_nothing_of_the_features_is_kept(random_graph) -> None:
    kept: list[torch.Tensor] = []
    x, home = torch.randn(2, 40, 30, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        teleport_propagate(random_graph, x, 0.1, home=home)
        teleport_propagate(random_graph, x, 0.1, 3)
    assert all(not t.is_floating_point() for t in kept)


@pytest.mark.parametrize("hops", [1, 10])
def test_memory_beside_the_input_is_at_most_two_matrices_of_its_size(hops, peak_of) -> None:
    graph, _ = CSR.from_edge_index(torch.randint(0, 100_000, (2, 100_000)), 100_000)
    x = torch.randn(100_000, 64)
    assert peak_of(lambda: teleport_propagate(graph, x, 0.1, hops)) < 2.1 * x.nbytes


def test_wrong_arguments_are_named(random_graph) -> None:
    x = torch.randn(40, 3)
    with pytest.raises(ValueError, match="hops=-1"):
        teleport_propagate(random_graph, x, 0.1, -1)
    with pytest.raises(ValueError, match=r"alpha=1\.5"):
        teleport_propagate(random_graph, x, 1.5)
    with pytest.raises(ValueError, match="home has shape"):
        teleport_propagate(random_graph, x, 0.1, home=x[:3])
    with pytest.raises(ValueError, match="hops=2 with home"):
        teleport_propagate(random_graph, x, 0.1, 2, home=x)
