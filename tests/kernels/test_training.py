"""Fifty steps of a small model with each kernel and with its reference end at the same loss."""

import pkgutil
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gbench.kernels as kernels
from gbench.kernels import CSR, Pairs, cpu

NODES, WIDTH = 60, 8
OFFSETS = torch.tensor([0, 4, 7])
# the others are compositions here, which is to say their references
ON_CPU = {module.name for module in pkgutil.iter_modules(cpu.__path__)}


def layer(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The operation in the place of a model's aggregation: (x, parameter (12, WIDTH)) → (N, D)."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, NODES, (2, 200), generator=generator)
    edges = edges[:, edges[0] != edges[1]]
    graph, _ = CSR.from_edge_index(torch.cat([edges, edges.flip(0)], 1), NODES)
    code = torch.randint(0, 12, (graph.num_entries,), generator=generator)
    codes = torch.randint(0, 3, (NODES, 3), generator=generator)
    ptr = torch.arange(0, NODES + 1, 3, dtype=torch.int32)
    back = torch.arange(NODES) // 3
    norm = nn.BatchNorm1d(WIDTH)
    pairs = Pairs.of(ptr, NODES)  # graphs of three nodes
    of_pair = torch.arange(3 * NODES) % 12
    return {
        "spmm": lambda x, p: function(graph, x, p[code, 0]),
        "gcn_propagate": lambda x, p: function(graph, x, 2, bias=p[0], relu=True),
        "teleport_propagate": lambda x, p: function(graph, x, 0.3, home=x * p[0]),
        "directed_propagate": lambda x, p: function(graph, x * p[0]),
        "gine_dense": lambda x, p: function(graph, x, p[code], p[0, 0]),
        "gcn_gated_sum": lambda x, p: function(graph, x, p[0], p[1, 0], 4),
        "segment_reduce": lambda x, p: x - function(ptr, x * p[0], "max")[back],
        "embedding_sum": lambda x, p: x + function(codes, p, OFFSETS),
        "gine_aggregate": lambda x, p: function(graph, x, p, code, p[0, 0]),
        "ragged_attention": lambda x, p: function(
            ptr[::4], *(y.view(NODES, 2, -1) for y in (x * p[0], x * p[1], x))
        ).flatten(1),
        "pna_aggregate": lambda x, p: function(graph, x, p, code).mean(1),
        "gcn_bond_aggregate": lambda x, p: function(graph, x, p, code, p[0]),
        "pair_conv": lambda x, p: function(pairs, p[of_pair], x),
        # in float64, because the slope of its root is infinite at 0
        "pair_gate": lambda x, p: (
            function(
                pairs,
                *(
                    y.double()
                    for y in (x * p[0], x, torch.cat([p[of_pair], p[of_pair].flip(1)], 1))
                ),
            )
            .view(NODES, 3, -1)
            .sum(1)
            .float()
        ),
        "pair_softmax": lambda x, p: (
            (function(pairs, p[of_pair]) * x[back.repeat_interleave(9)[: 3 * NODES]])
            .view(NODES, 3, -1)
            .sum(1)
        ),
        "pair_sum": lambda x, p: function(pairs, p[of_pair, :2], x.repeat_interleave(3, 0)),
        "edge_softmax": lambda x, p: function(graph, p[code, :2], x.view(-1, 2, 4)).flatten(1),
        "sheaf_laplacian": lambda x, p: (
            x - function(graph, p[code, :4].view(-1, 2, 2), x.view(-1, 2, 4)).flatten(1)
        ),
        "segment_add": lambda x, p: function(ptr, x, p[0].expand(NODES // 3, WIDTH) * x[::3]),
        "norm_act": lambda x, p: (
            function(x * p[0], norm)
            if function is kernels.norm_act
            else nn.functional.batch_norm(
                x * p[0], None, None, norm.weight, norm.bias, training=True
            ).relu()
        ),
    }[name]


def train(name: str, function: Callable[..., Tensor]) -> list[float]:
    torch.manual_seed(1)
    x, y = torch.randn(NODES, 5), torch.randint(0, 3, (NODES,))
    first, last = nn.Linear(5, WIDTH), nn.Linear(WIDTH, 3)
    parameter = nn.Parameter(torch.randn(12, WIDTH))
    aggregate = layer(name, function)
    optimizer = torch.optim.Adam([*first.parameters(), *last.parameters(), parameter], lr=0.01)
    losses = []
    for _ in range(50):
        loss = nn.functional.cross_entropy(last(aggregate(first(x), parameter)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", [name for name in kernels.__all__ if name in ON_CPU])
def test_fifty_steps_end_at_the_references_loss(name: str) -> None:
    reference = sys.modules[f"gbench.kernels.{name}"].reference
    losses = train(name, getattr(kernels, name))
    expected = train(name, reference)
    torch.testing.assert_close(losses, expected, rtol=1e-3, atol=1e-4)
    assert losses[-1] < 0.95 * losses[0]
