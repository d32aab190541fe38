"""A layer of sheaf diffusion as one operation, against the definition of its parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gbench.kernels import CSR
from gbench.kernels.dropout import reference as drop
from gbench.kernels.sheaf_layer import fits, reference, sheaf_layer

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


def layer_of(
    kind: str, graph: CSR, channels: int, width: int
) -> tuple[dict[str, bool], list[Tensor | None]]:
    is_diagonal, by_degree, has_weights, sums = KINDS[kind]
    numbers = channels if is_diagonal else channels * (channels - 1) // 2
    shape = (graph.num_rows, channels, width)
    inputs = [
        torch.randn(shape),
        torch.randn(shape),
        torch.randn(shape),
        torch.randn(numbers, 2 * width * (1 if sums else channels)) / 4,
        torch.randn(1, 2 * width * channels) / 4 if has_weights else None,
        torch.randn(channels, channels),
        torch.randn(width, width) / 2,
        torch.randn(channels, 1),
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
@pytest.mark.parametrize("width", [20, 65])  # one panel of 32 columns, and one with a third
@pytest.mark.parametrize("kind", KINDS)
def test_layer_is_its_parts(kind, channels, width, dtype, assert_agrees) -> None:
    graph = undirected(12, 25)
    flags, inputs = layer_of(kind, graph, channels, width)
    given = [None if part is None else part.to(dtype) for part in inputs]
    ours, tensors = with_weights(
        lambda *args: sheaf_layer(graph, *args, rate=0.0, **flags)[0], given
    )
    exact, _ = with_weights(lambda *args: reference(graph, *args, **flags), given)
    assert_agrees(ours, exact, *tensors, roundings=16)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_all_three_results_with_dropout(kind) -> None:
    graph, rate = undirected(10, 20), 0.4
    flags, inputs = layer_of(kind, graph, 3, 17)
    _, tensors = with_weights(None, inputs)
    ours = [part.double().requires_grad_() for part in tensors]

    def given(values: list[Tensor]) -> list[Tensor | None]:
        rest = iter(values)
        return [None if part is None else next(rest) for part in inputs]

    torch.manual_seed(3)
    found = sheaf_layer(graph, *given(ours), rate=rate, **flags)
    torch.manual_seed(3)
    seeds = [torch.randint(2**63 - 1, ()) for _ in range(2)]
    y = reference(graph, *given(ours), **flags)
    expected = (y, *(drop(y, seed, rate) for seed in seeds))
    torch.testing.assert_close(found, expected)
    grads = [torch.randn_like(y) for _ in range(3)]
    for some in ([0], [1], [0, 2], [0, 1, 2]):  # a result may have no gradient
        left, right = (
            torch.autograd.grad([out[k] for k in some], ours, [grads[k] for k in some],
                                retain_graph=True)
            for out in (found, expected)
        )  # fmt: skip
        torch.testing.assert_close(left, right)


@FLOATS
def test_extreme_numbers(dtype) -> None:
    graph = undirected(9, 14)
    for kind in ("diagonal", "reflections"):
        flags, inputs = layer_of(kind, graph, 2, 18)
        given = [None if part is None else part.to(dtype) for part in inputs]
        given[2] = given[2] * 1e4  # elu of very negative numbers
        given[3] = given[3] * 1e3  # tanh of ±1
        out = sheaf_layer(graph, *given, rate=0.0, **flags)[0]
        exact = [None if part is None else part.double() for part in given]
        wanted = reference(graph, *exact, **flags)
        torch.testing.assert_close(out.double(), wanted, rtol=2e-4, atol=2e-2)
        given[0][4, 1, 2] = torch.nan
        given[2][8, 0, 0] = torch.nan  # of a node without edges, whose Δ is 0 · NaN
        out = sheaf_layer(graph, *given, rate=0.0, **flags)[0]
        again = reference(graph, *given, **flags)
        assert torch.equal(out.isnan(), again.isnan())


@pytest.mark.parametrize("nodes", [0, 5])
def test_graphs_without_edges(nodes) -> None:
    graph, _ = CSR.from_edge_index(torch.zeros(2, 0, dtype=torch.int64), nodes)
    for kind in ("diagonal", "reflections"):
        flags, inputs = layer_of(kind, graph, 2, 18)
        tensors = [None if part is None else part.requires_grad_() for part in inputs]
        out = sheaf_layer(graph, *tensors, rate=0.5, **flags)
        out[0].sum().backward()
        kept = 1 + tensors[-1].tanh()
        torch.testing.assert_close(out[0], tensors[0] * kept)
        assert tensors[3].grad.eq(0).all()


def test_inputs_that_are_not_contiguous_and_bitwise_repetition() -> None:
    graph = undirected(12, 25)
    flags, inputs = layer_of("reflections", graph, 3, 18)
    strided = [part.mT.contiguous().mT if part.dim() > 1 else part for part in inputs]
    results = []
    for given in (inputs, strided, inputs):
        tensors = [part.detach().requires_grad_() for part in given]
        out = sheaf_layer(graph, *tensors, rate=0.0, **flags)[0]
        results.append((out, *torch.autograd.grad(out.square().sum(), tensors)))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_opcheck_shapes_and_sizes() -> None:
    graph = undirected(8, 12)
    flags, inputs = layer_of("reflections", graph, 2, 3)
    values = [part.double().requires_grad_() for part in inputs]
    seeds = (torch.tensor(7), torch.tensor(8))
    ends = (graph.rowptr, graph.col, graph.perm_t)
    for draws, rate in ((seeds, 0.5), ((None, None), 0.0)):
        torch.library.opcheck(
            torch.ops.gbench.sheaf_layer.default,
            (*ends, *values, *draws, rate, *flags.values()),
            test_utils=("test_schema", "test_faketensor"),
        )
    with pytest.raises(ValueError, match=r"left has shape \(3, 3\): it should be \(2, 2\)"):
        sheaf_layer(graph, *inputs[:5], torch.eye(3), *inputs[6:], rate=0.0, **flags)
    assert fits(graph, inputs[0])
    assert not fits(graph, torch.empty(10_000, 5, 20))
    assert not fits(graph, inputs[0].bfloat16())
