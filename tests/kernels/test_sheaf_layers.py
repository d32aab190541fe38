"""Layers of sheaf diffusion as one operation, against the definition of their parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gbench.kernels import CSR, library
from gbench.kernels.dropout import reference as drop
from gbench.kernels.sheaf_layers import fits, reference, sheaf_layers

KINDS = {
    # is_diagonal, by_degree, weights of edges, sums of channels
    "diagonal": (True, False, False, False),
    "diagonal-sums": (True, False, False, True),
    "diagonal-degree": (True, True, False, False),
    "reflections": (False, False, True, False),
    "reflections-sums": (False, False, True, True),
    "reflections-degree": (False, True, False, False),
}
FLOATS = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def undirected(nodes: int, edges: int) -> CSR:
    """A graph of which the last three nodes have no edges."""
    ends = torch.randint(0, max(1, nodes - 3), (2, edges))
    both = torch.cat([ends, ends.flip(0)], 1)
    return CSR.from_edge_index(both[:, both[0] != both[1]].unique(dim=1), nodes)[0]


def layers_of(
    kind: str, graph: CSR, channels: int, width: int, layers: int = 2
) -> tuple[dict[str, bool], list[Tensor | None]]:
    is_diagonal, by_degree, has_weights, sums = KINDS[kind]
    numbers = channels if is_diagonal else channels * (channels - 1) // 2
    inputs = [
        torch.randn(graph.num_rows, channels, width),
        torch.randn(layers, numbers, 2 * width * (1 if sums else channels)) / 8,
        torch.randn(layers, 1, 2 * width * channels) / 8 if has_weights else None,
        torch.randn(layers, channels, channels) / channels**0.5,
        torch.randn(layers, width, width) / width**0.5,
        torch.randn(layers, channels, 1),
    ]
    return {"is_diagonal": is_diagonal, "by_degree": by_degree}, inputs


def with_weights(call: Any, inputs: list[Tensor | None]) -> tuple[Any, list[Tensor]]:
    """A function of the tensors among the inputs, and these."""
    at = [k for k, part in enumerate(inputs) if part is not None]

    def function(*tensors: Tensor) -> Tensor:
        given = list(inputs)
        for place, tensor in zip(at, tensors, strict=True):
            given[place] = tensor
        out: Tensor = call(*given)
        return out

    return function, [part for part in inputs if part is not None]


@FLOATS
@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("width", [20, 65])  # a part of a panel of 32 columns, and three panels
@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_their_parts(kind, channels, width, dtype, assert_agrees) -> None:
    graph = undirected(12, 25)
    flags, inputs = layers_of(kind, graph, channels, width)
    given = [None if part is None else part.to(dtype) for part in inputs]
    ours, tensors = with_weights(lambda *args: sheaf_layers(graph, *args, rate=0.0, **flags), given)
    exact, _ = with_weights(lambda *args: reference(graph, *args, **flags), given)
    assert_agrees(ours, exact, *tensors, roundings=16)


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_with_dropout(kind) -> None:
    graph, rate = undirected(10, 20), 0.4
    flags, inputs = layers_of(kind, graph, 3, 17, layers=3)
    given = [None if part is None else part.double() for part in inputs]
    seeds = iter(())

    def plain(*args: Tensor) -> Tensor:
        return reference(graph, *args, **flags, draw=lambda x: drop(x, next(seeds), rate))

    exact, tensors = with_weights(plain, given)
    ours, _ = with_weights(lambda *args: sheaf_layers(graph, *args, rate=rate, **flags), given)
    tensors = [part.requires_grad_() for part in tensors]
    torch.manual_seed(3)
    found = ours(*tensors)
    torch.manual_seed(3)
    seeds = iter([torch.randint(2**63 - 1, ()) for _ in range(5)])
    expected = exact(*tensors)
    torch.testing.assert_close(found, expected)
    grad = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad(found, tensors, grad), torch.autograd.grad(expected, tensors, grad)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_for_it_on_a_gpu_draws_the_same(kind, monkeypatch) -> None:
    graph = undirected(10, 20)
    flags, inputs = layers_of(kind, graph, 3, 17, layers=3)
    given = [None if part is None else part.double() for part in inputs]
    has = library.has_kernel
    for rate in (0.0, 0.4):
        torch.manual_seed(3)
        wanted = sheaf_layers(graph, *given, rate=rate, **flags)
        torch.manual_seed(3)
        with monkeypatch.context() as patch:
            patch.setattr(
                library, "has_kernel", lambda name, x: name != "sheaf_layers" and has(name, x)
            )
            found = sheaf_layers(graph, *given, rate=rate, **flags)
        torch.testing.assert_close(found, wanted)


@FLOATS
@pytest.mark.parametrize("kind", ["diagonal", "reflections"])
def test_extreme_numbers(kind, dtype) -> None:
    graph = undirected(9, 14)
    flags, inputs = layers_of(kind, graph, 2, 18, layers=1)
    given = [None if part is None else part.to(dtype) for part in inputs]
    given[1] = given[1] * 1e3  # tanh of ±1
    given[3] = given[3] * 1e4  # elu of very negative numbers
    out = sheaf_layers(graph, *given, rate=0.0, **flags)
    exact = [None if part is None else part.double() for part in given]
    wanted = reference(graph, *exact, **flags)
    scale = float(wanted.abs().max())
    torch.testing.assert_close(out.double(), wanted, rtol=1e-3, atol=1e-5 * scale)
    given[1] = given[1] / 1e3
    given[0][4, 1, 2] = torch.nan
    given[0][8, 0, 0] = torch.nan  # of a node without edges: its Δ is 0, and not 0 · NaN
    out = sheaf_layers(graph, *given, rate=0.0, **flags)
    assert torch.equal(out.isnan(), reference(graph, *given, **flags).isnan())


@pytest.mark.parametrize("nodes", [0, 5])
@pytest.mark.parametrize("kind", ["diagonal", "reflections"])
def test_graphs_without_edges(nodes, kind) -> None:
    graph, _ = CSR.from_edge_index(torch.zeros(2, 0, dtype=torch.int64), nodes)
    flags, inputs = layers_of(kind, graph, 2, 18)
    tensors = [None if part is None else part.requires_grad_() for part in inputs]
    out = sheaf_layers(graph, *tensors, rate=0.5, **flags)
    out.sum().backward()
    kept = (1 + tensors[-1].tanh()).prod(0)
    torch.testing.assert_close(out, tensors[0] * kept)
    assert tensors[1].grad.eq(0).all()


def test_inputs_that_are_not_contiguous_and_bitwise_repetition() -> None:
    graph = undirected(12, 25)
    flags, inputs = layers_of("reflections", graph, 3, 18)
    strided = [part.mT.contiguous().mT for part in inputs]
    results = []
    for given in (inputs, strided, inputs):
        tensors = [part.detach().requires_grad_() for part in given]
        out = sheaf_layers(graph, *tensors, rate=0.0, **flags)
        results.append((out, *torch.autograd.grad(out.square().sum(), tensors)))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_opcheck_shapes_and_sizes() -> None:
    graph = undirected(8, 12)
    flags, inputs = layers_of("reflections", graph, 2, 18)
    values = [part.double().requires_grad_() for part in inputs]
    ends = (graph.rowptr, graph.col, graph.perm_t)
    for seed, rate in ((torch.tensor([7, 8, 9]), 0.5), (None, 0.0)):
        torch.library.opcheck(
            torch.ops.gbench.sheaf_layers.default,
            (*ends, *values, seed, rate, *flags.values()),
            test_utils=("test_schema", "test_faketensor"),
        )
    wrong = [*inputs[:3], torch.ones(2, 3, 3), *inputs[4:]]
    with pytest.raises(ValueError, match=r"left has shape \(2, 3, 3\): it should be \(2, 2, 2\)"):
        sheaf_layers(graph, *wrong, rate=0.0, **flags)
    for name in flags:
        with pytest.raises(ValueError, match="of_weights goes with Householder's maps alone"):
            of_maps = torch.ones(2, 2, 72) if name == "is_diagonal" else inputs[1]
            given = (inputs[0], of_maps, *inputs[2:])
            sheaf_layers(graph, *given, rate=0.0, **{**flags, name: True})
    one_way, _ = CSR.from_edge_index(torch.tensor([[0, 1], [1, 2]]), 8)
    with pytest.raises(ValueError, match="give every edge in both directions"):
        sheaf_layers(one_way, *inputs, rate=0.0, **flags)
    assert fits(graph, inputs[0])
    assert not fits(graph, torch.empty(10_000, 5, 20))
    assert not fits(graph, inputs[0].bfloat16())
