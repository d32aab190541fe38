"""The small operations of a step of sheaf diffusion, each against its plain definition."""

from __future__ import annotations

import pytest
import torch

from gbench.kernels import CSR, sheaf_laplacian
from gbench.kernels import pair_tanh as pairs
from gbench.kernels import pair_weight as weights
from gbench.kernels import sheaf_mix as mix
from gbench.kernels import sheaf_residual as residual


def undirected(nodes: int, edges: int) -> CSR:
    ends = torch.randint(0, nodes, (2, edges))
    both = torch.cat([ends, ends.flip(0)], 1)
    return CSR.from_edge_index(both[:, both[0] != both[1]].unique(dim=1), nodes)[0]


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64).to(dtype)


FLOATS = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def test_tanh_of_pairs_on_graphs_of_every_shape(graph, dtype, assert_agrees) -> None:
    assert_agrees(
        lambda z: pairs.pair_tanh(graph, z),
        lambda z: pairs.reference(graph, z),
        draw(graph.num_rows, 6, dtype=dtype),
        roundings=4,
    )


def test_weights_of_pairs(dtype, assert_agrees) -> None:
    graph = undirected(30, 70)
    assert_agrees(
        lambda z: weights.pair_weight(graph, z),
        lambda z: weights.reference(graph, z),
        draw(30, 2, dtype=dtype),
        roundings=4,
    )
    out = weights.pair_weight(graph, draw(30, 2))
    assert torch.equal(out, out[graph.perm_t.long()])  # of an edge, from both its ends


@FLOATS
@pytest.mark.parametrize("channels", [1, 5])
def test_mixing_and_residual(channels, dtype, assert_agrees) -> None:
    x, step = draw(7, channels, 20, dtype=dtype), draw(7, channels, 20, dtype=dtype)
    left, right = draw(channels, channels, dtype=dtype), draw(20, 20, dtype=dtype)
    assert_agrees(mix.sheaf_mix, mix.reference, x, left, right, roundings=4)
    epsilon = draw(channels, 1, dtype=dtype)
    assert_agrees(residual.sheaf_residual, residual.reference, x, step, epsilon, roundings=4)


def test_weights_times_orthogonal_maps_scale_by_their_squares() -> None:
    graph = undirected(12, 30)
    maps = torch.linalg.qr(draw(graph.num_entries, 3, 3)).Q
    weight = torch.rand(graph.num_entries, dtype=torch.float64)
    weight = (weight + weight[graph.perm_t.long()]).requires_grad_()
    maps, x = maps.requires_grad_(), draw(12, 3, 4).requires_grad_()

    def plain(maps, weight, x):
        degree = torch.zeros(12, dtype=torch.float64).index_add(0, graph.row, weight**2)
        return sheaf_laplacian(graph, maps * weight[:, None, None], x, degree=degree)

    found = sheaf_laplacian(graph, maps, x, weight=weight)
    expected = plain(maps, weight, x)
    torch.testing.assert_close(found, expected)
    grad, inputs = torch.randn_like(found), [maps, weight, x]
    torch.testing.assert_close(
        torch.autograd.grad(found, inputs, grad), torch.autograd.grad(expected, inputs, grad)
    )


def test_gradients_of_weights_and_degrees() -> None:
    graph = undirected(6, 9)
    maps, x = draw(graph.num_entries, 2, 2).requires_grad_(), draw(6, 2, 3).requires_grad_()
    weight = torch.rand(graph.num_entries, dtype=torch.float64, requires_grad=True)
    degree = torch.rand(6, dtype=torch.float64, requires_grad=True)
    check = torch.autograd.gradcheck
    assert check(lambda m, w, x: sheaf_laplacian(graph, m, x, weight=w), (maps, weight, x))
    assert check(lambda m, d, x: sheaf_laplacian(graph, m, x, degree=d), (maps, degree, x))
    diagonal = draw(graph.num_entries, 2).requires_grad_()
    assert check(lambda m, d, x: sheaf_laplacian(graph, m, x, degree=d), (diagonal, degree, x))


def test_bitwise_the_same_at_any_number_of_threads(monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cpu.rows.CHUNK_WORK", 500)
    graph = undirected(300, 900)
    given = {
        "z": draw(300, 6, dtype=torch.float32),
        "pair": draw(300, 2, dtype=torch.float32),
        "x": draw(300, 3, 20, dtype=torch.float32),
        "epsilon": draw(3, 1, dtype=torch.float32),
    }
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        own = {name: value.clone().requires_grad_() for name, value in given.items()}
        maps = pairs.pair_tanh(graph, own["z"]) * weights.pair_weight(graph, own["pair"])[:, None]
        step = sheaf_laplacian(graph, maps, own["x"])  # not mixed: BLAS makes no such promise
        out = residual.sheaf_residual(own["x"], step, own["epsilon"])
        results.append((out, *torch.autograd.grad(out.square().sum(), [*own.values()])))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_opcheck_and_wrong_shapes() -> None:
    graph, ops = undirected(6, 9), torch.ops.gbench
    ends, longest = (graph.rowptr, graph.col), graph.bound
    z, x = draw(6, 2).requires_grad_(), draw(6, 2, 3).requires_grad_()
    maps = draw(graph.num_entries, 2).requires_grad_()
    for op, given in (
        (ops.pair_tanh, (*ends, graph.rowptr_t, graph.perm_t, longest, z)),
        (ops.pair_weight, (*ends, graph.perm_t, longest, z)),
        (ops.sheaf_mix, (x, draw(2, 2), draw(3, 3))),
        (ops.sheaf_residual, (x, draw(6, 2, 3), draw(2, 1))),
        (ops.scaled_sheaf_laplacian, (*ends, graph.perm_t, longest, maps, x, None, None)),
    ):
        torch.library.opcheck(op.default, given, test_utils=("test_schema", "test_faketensor"))
    with pytest.raises(ValueError, match=r"z has shape \(6, 3\): it should be \(6, 2\)"):
        weights.pair_weight(graph, draw(6, 3))
    with pytest.raises(ValueError, match=r"weight has shape \(2,\): it should be \(\d+\)"):
        sheaf_laplacian(graph, draw(graph.num_entries, 2, 2), draw(6, 2, 3), weight=draw(2))
