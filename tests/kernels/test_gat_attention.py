"""Graph attention in one operation on the CPU: its definition, and the softmax of entries."""

import pytest
import torch

from gbench.kernels import CSR, edge_softmax
from gbench.kernels.gat_attention import gat_attention, reference


def without_repeats(graph: CSR) -> CSR:
    edges = graph.edge_index.unique(dim=1)
    return CSR.from_edge_index(edges, graph.num_rows)[0]


def registered(graph: CSR, seed, rate, x, own, other):
    return torch.ops.gbench.gat_attention(graph.arrays, graph.bound, x, own, other, seed, rate)[0]


@pytest.mark.parametrize("rate", [0.0, 0.6])
@pytest.mark.parametrize(("heads", "width"), [(8, 8), (1, 7), (3, 5)])
def test_agrees_with_the_reference(graph, heads, width, rate, dtype, assert_agrees) -> None:
    seed = torch.tensor(2**40 + 17) if rate else None
    graph = without_repeats(graph)
    assert_agrees(
        lambda *given: registered(graph, seed, rate, *given),
        lambda *given: reference(graph, *given, seed, rate),
        torch.randn(graph.num_cols, heads, width).to(dtype),
        (torch.randn(heads, width) / 4).to(dtype),
        (torch.randn(heads, width) / 4).to(dtype),
        roundings=4,
    )


def test_more_senders_than_receivers(assert_agrees) -> None:
    ends = torch.stack([torch.randint(0, 60, (150,)), torch.randint(0, 20, (150,))]).unique(dim=1)
    graph, _ = CSR.from_edge_index(ends, 20, 60)
    assert_agrees(
        lambda *given: gat_attention(graph, *given),
        lambda *given: reference(graph, *given, None, 0.0),
        *(torch.randn(60, 2, 6), torch.randn(2, 6), torch.randn(2, 6)),
        roundings=2,
    )


def test_is_the_softmax_of_entries_on_the_graph_with_loops(random_graph) -> None:
    x, own, other = torch.randn(40, 4, 8), torch.randn(4, 8), torch.randn(4, 8)
    nodes = torch.arange(40).expand(2, -1)
    edges = random_graph.edge_index
    kept = edges[:, edges[0] != edges[1]]
    looped, _ = CSR.from_edge_index(torch.cat([kept, nodes], 1), 40)
    left, right = (x * own).sum(2), (x * other).sum(2)
    score = torch.nn.functional.leaky_relu(left[looped.row] + right[looped.col], 0.2)
    torch.testing.assert_close(
        gat_attention(random_graph, x, own, other), edge_softmax(looped, score, x)
    )


def test_many_blocks_and_a_row_longer_than_one(assert_agrees) -> None:
    """A hub that receives from all, among rows of a few entries."""
    generator = torch.Generator().manual_seed(0)
    hub = torch.stack([torch.arange(3000), torch.full((3000,), 7)])
    others = torch.randint(0, 3000, (2, 9000), generator=generator)
    graph, _ = CSR.from_edge_index(torch.cat([hub, others], 1).unique(dim=1), 3000)
    seed = torch.tensor(5)
    assert_agrees(
        lambda *given: registered(graph, seed, 0.5, *given),
        lambda *given: reference(graph, *given, seed, 0.5),
        *(torch.randn(3000, 8, 2), torch.randn(8, 2), torch.randn(8, 2)),
        roundings=8,
    )


def test_a_nan_stays_where_it_is_read(random_graph) -> None:
    graph = without_repeats(random_graph)
    x, own, other = torch.randn(40, 8, 8), torch.randn(8, 8), torch.randn(8, 8)
    x[3, 2, 1] = torch.nan
    out = gat_attention(graph, x, own, other)
    expected = reference(graph, x, own, other, None, 0.0)
    torch.testing.assert_close(out, expected, equal_nan=True)
    assert 0 < out.isnan().any(2).sum() < 40


def test_bitwise_the_same_at_any_number_of_threads(random_graph, monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cpu.rows.CHUNK_WORK", 500)
    seed, grad = torch.tensor(9), torch.randn(40, 8, 8)
    inputs = [torch.randn(40, 8, 8), torch.randn(8, 8), torch.randn(8, 8)]
    inputs = [part.requires_grad_() for part in inputs]
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        out = registered(random_graph, seed, 0.4, *inputs)
        found.append([out, *torch.autograd.grad(out, inputs, grad)])
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))
