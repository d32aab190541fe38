import pytest
import torch

from gbench.kernels import CSR, directed_propagate, spmm
from gbench.kernels.directed_propagate import reference

POWERS = [(-0.5, -0.5), (-0.25, -0.25), (-1.0, 0.0), (0.0, -1.0), (0.5, 0.0)]


@pytest.mark.parametrize("powers", POWERS, ids=str)
def test_agrees_with_the_reference(graph, dtype, powers, assert_agrees) -> None:
    assert_agrees(
        lambda x: directed_propagate(graph, x, *powers),
        lambda x: reference(graph, x, *powers),
        torch.randn(graph.num_rows, 33).to(dtype),
        roundings=2,
    )


def test_the_transpose_is_d_out_a_d_in_of_the_matrix_as_papers_write_it() -> None:
    """A_ij = 1 for an edge i → j; dense, in float64."""
    sources, targets = torch.tensor([[0, 0, 1, 3, 3, 3], [1, 2, 2, 0, 1, 2]])
    graph, _ = CSR.from_edge_index(torch.stack([sources, targets]), 5)  # node 4 stands alone
    A = torch.zeros(5, 5, dtype=torch.float64)
    A[sources, targets] = 1
    x = torch.randn(5, 3, dtype=torch.float64)
    out, into = A.sum(1), A.sum(0)
    left = torch.where(out > 0, out**-0.5, 0).diag()
    right = torch.where(into > 0, into**-0.25, 0).diag()
    torch.testing.assert_close(directed_propagate(graph.t, x, -0.5, -0.25), left @ A @ right @ x)
    torch.testing.assert_close(directed_propagate(graph, x, -0.25, -0.5), right @ A.T @ left @ x)


def test_a_mean(random_graph) -> None:
    x = torch.randn(40, 7)
    found = directed_propagate(random_graph, x, -1, 0)
    torch.testing.assert_close(found, spmm(random_graph, x, reduce="mean"))


def test_of_a_rectangular_pattern(assert_agrees) -> None:
    edges = torch.stack([torch.randint(0, 31, (50,)), torch.randint(0, 6, (50,))])
    graph, _ = CSR.from_edge_index(edges, 6, 31)
    assert_agrees(
        lambda x: directed_propagate(graph, x),
        lambda x: reference(graph, x),
        torch.randn(31, 5),
    )


def test_nothing_is_kept_for_the_gradient(random_graph) -> None:
    kept: list[torch.Tensor] = []
    x = torch.randn(40, 30, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        directed_propagate(random_graph, x)
    assert not kept
