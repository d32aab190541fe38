import pytest
import torch
from torch_geometric.utils import get_laplacian, to_dense_adj

from gbench.kernels import CSR, sheaf_laplacian
from gbench.kernels.sheaf_laplacian import reference


def undirected(num_nodes: int, num_edges: int, seed: int = 0) -> CSR:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, max(1, num_nodes - 2), (2, num_edges), generator=generator)
    edges = edges[:, edges[0] != edges[1]]
    both = torch.cat([edges, edges.flip(0)], dim=1).unique(dim=1)
    return CSR.from_edge_index(both, num_nodes)[0]


GRAPHS = {
    "empty": undirected(0, 0),
    "no-edges": undirected(4, 0),
    "random": undirected(20, 40),
    "star": CSR.from_edge_index(
        torch.stack(
            [
                torch.cat([torch.arange(1, 90), torch.zeros(89, dtype=torch.int64)]),
                torch.cat([torch.zeros(89, dtype=torch.int64), torch.arange(1, 90)]),
            ]
        ),
        90,
    )[0],
}
every_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)


@every_graph
@pytest.mark.parametrize("stalk", [1, 3, 4])
@pytest.mark.parametrize("width", [1, 3, 33])
def test_full_maps_agree_with_the_reference(graph, stalk, width, dtype, assert_agrees) -> None:
    if graph is not GRAPHS["random"]:  # eigh has no gradient where eigenvalues are equal
        maps = torch.randn(graph.num_entries, stalk, stalk).to(dtype)
        x = torch.randn(graph.num_rows, stalk, width).to(dtype)
        out = sheaf_laplacian(graph, maps, x)
        expected = reference(graph, maps.double(), x.double()).to(dtype)
        rtol, atol = (2e-2, 8e-2) if dtype == torch.bfloat16 else (1e-4, 1e-5)
        torch.testing.assert_close(out, expected, rtol=rtol, atol=atol)
        return
    graph = complete(9)
    assert_agrees(
        lambda maps, x: sheaf_laplacian(graph, maps, x),
        lambda maps, x: reference(graph, maps, x),
        torch.randn(graph.num_entries, stalk, stalk).to(dtype),
        torch.randn(graph.num_rows, stalk, width).to(dtype),
        roundings=4,
    )


def complete(num_nodes: int) -> CSR:
    edges = (1 - torch.eye(num_nodes)).nonzero().T
    return CSR.from_edge_index(edges, num_nodes)[0]


@every_graph
@pytest.mark.parametrize("width", [1, 33])
def test_diagonal_maps_are_full_maps_with_zeros(graph, width) -> None:
    maps = torch.randn(graph.num_entries, 3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(graph.num_rows, 3, width, dtype=torch.float64, requires_grad=True)
    out, expected = sheaf_laplacian(graph, maps, x), sheaf_laplacian(graph, maps.diag_embed(), x)
    torch.testing.assert_close(out, expected)
    grad = torch.randn_like(out)
    torch.testing.assert_close(
        torch.autograd.grad(out, [maps, x], grad), torch.autograd.grad(expected, [maps, x], grad)
    )


@pytest.mark.parametrize("stalk", [1, 3])
def test_diagonal_maps_agree_with_the_reference(stalk, width, dtype, assert_agrees) -> None:
    graph = complete(9)
    assert_agrees(
        lambda maps, x: sheaf_laplacian(graph, maps, x),
        lambda maps, x: reference(graph, maps.diag_embed(), x),
        torch.randn(graph.num_entries, stalk).to(dtype),
        torch.randn(graph.num_rows, stalk, width).to(dtype),
        roundings=4,
    )


def test_maps_of_one_are_the_graphs_own_laplacian() -> None:
    graph = undirected(20, 40)
    index, weight = get_laplacian(graph.edge_index, num_nodes=20)
    laplacian = to_dense_adj(index, edge_attr=weight, max_num_nodes=20)[0]
    root = (graph.in_degree + 1).rsqrt()[:, None]
    out = sheaf_laplacian(graph, torch.ones(graph.num_entries, 1), torch.eye(20)[:, None, :])
    torch.testing.assert_close(out[:, 0], root * laplacian * root.T)


def test_it_is_symmetric_positive_semidefinite_and_below_two() -> None:
    graph = undirected(20, 40)
    maps = torch.randn(graph.num_entries, 3, 3, dtype=torch.float64)
    matrix = sheaf_laplacian(graph, maps, torch.eye(60, dtype=torch.float64).view(20, 3, 60))
    matrix = matrix.reshape(60, 60)
    torch.testing.assert_close(matrix, matrix.T)
    values = torch.linalg.eigvalsh(matrix)
    assert values.min() > -1e-12
    assert values.max() < 2


def test_self_loops_cancel_and_repeated_edges_pair_up() -> None:
    edges = torch.tensor([[0, 1, 0, 1, 2, 2, 1], [1, 0, 1, 0, 2, 1, 2]])
    graph, _ = CSR.from_edge_index(edges, 3)
    maps = torch.randn(graph.num_entries, 3, 3, dtype=torch.float64)
    x = torch.randn(3, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(sheaf_laplacian(graph, maps, x), reference(graph, maps, x))
    maps.requires_grad_()
    assert torch.autograd.gradcheck(lambda m: sheaf_laplacian(graph, m, x), (maps,))


def test_orthogonal_maps_from_a_global_frame_vanish_on_it() -> None:
    # F_ve = Q_vᵀ at both ends: x_v = √(d_v + 1) Q_v c is a global section, so L D^-1/2 x = 0
    graph = undirected(20, 40)
    frame = torch.linalg.qr(torch.randn(20, 3, 3, dtype=torch.float64)).Q
    section = frame @ torch.randn(3, 5, dtype=torch.float64)
    x = (graph.in_degree + 1).double().sqrt()[:, None, None] * section
    out = sheaf_laplacian(graph, frame.mT[graph.row], x)
    torch.testing.assert_close(out, torch.zeros_like(out))


@pytest.mark.parametrize("shape", [(3,), (3, 3)], ids=["diagonal", "full"])
def test_gradcheck(shape) -> None:
    graph = undirected(7, 9)
    maps = torch.randn(graph.num_entries, *shape, dtype=torch.float64, requires_grad=True)
    x = torch.randn(7, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, x: sheaf_laplacian(graph, m, x), (maps, x))


def test_nothing_as_large_as_the_messages_is_kept() -> None:
    graph = undirected(30, 300)
    maps = torch.randn(graph.num_entries, 3, 3, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        sheaf_laplacian(graph, maps, torch.randn(30, 3, 32, requires_grad=True))
    assert max(t.numel() for t in kept) <= maps.numel()


def test_a_degree_per_node_stands_for_equal_blocks() -> None:
    graph = undirected(20, 40)
    frame = torch.linalg.qr(torch.randn(graph.num_entries, 3, 3, dtype=torch.float64)).Q
    weight = torch.rand(graph.num_entries, dtype=torch.float64)
    x = torch.randn(20, 3, 5, dtype=torch.float64)
    degree = torch.zeros(20, dtype=torch.float64).index_add(0, graph.row, weight * weight)
    expected = sheaf_laplacian(graph, weight[:, None, None] * frame, x)
    found = sheaf_laplacian(graph, weight[:, None, None] * frame, x, degree=degree)
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="degree has shape"):
        sheaf_laplacian(graph, frame, x, degree=degree[:, None])


def test_wrong_arguments_are_named() -> None:
    graph = undirected(20, 40)
    maps, x = torch.randn(graph.num_entries, 3), torch.randn(20, 3, 2)
    with pytest.raises(ValueError, match="maps has shape"):
        sheaf_laplacian(graph, maps[:, :2], x)
    with pytest.raises(ValueError, match="x has shape"):
        sheaf_laplacian(graph, maps, x[:, 0])
    with pytest.raises(TypeError, match=r"maps is torch\.float64"):
        sheaf_laplacian(graph, maps.double(), x)
    directed, _ = CSR.from_edge_index(torch.tensor([[0, 1], [1, 2]]), 3)
    with pytest.raises(ValueError, match="both directions"):
        sheaf_laplacian(directed, torch.randn(2, 3), torch.randn(3, 3, 2))


@pytest.mark.parametrize(("shape", "degrees"), [((2, 2, 2), 2), ((2, 2), None)])
def test_a_weight_beside_a_degree_or_diagonal_maps_is_refused(shape, degrees) -> None:
    graph, _ = CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]]), 2)
    degree = None if degrees is None else torch.ones(degrees)
    with pytest.raises(ValueError, match="weight goes with full maps alone"):
        sheaf_laplacian(
            graph, torch.ones(shape), torch.ones(2, 2, 3), degree=degree, weight=torch.ones(2)
        )
