"""Values of pairs, read by GIN on edges and of each node with itself."""

from __future__ import annotations

from dataclasses import replace

import torch

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import CSR
from gbench.models.gin import GIN

SETTINGS = {
    "hidden_dim": 6, "num_layers": 2, "mlp_ratio": 2, "learn_eps": True, "virtual_node": False,
    "jk": "last", "readout": "mean", "dropout": 0.0,
}  # fmt: skip


def two_graphs(values: int) -> tuple[Batch, list[torch.Tensor]]:
    """Graphs of 3 and 4 nodes, one-way edges among them, and a matrix of values for each."""
    torch.manual_seed(0)
    ends = torch.tensor([[0, 2, 1, 3, 5, 6, 3], [1, 0, 2, 4, 3, 5, 5]])
    graph, _ = CSR.from_edge_index(ends, 7)
    matrices = [torch.randn(n, n, values) for n in (3, 4)]
    batch = Batch(
        graph,
        torch.randn(7, 4),
        torch.tensor([0, 1]),
        torch.tensor([0, 3, 7], dtype=torch.int32),
        pairs=torch.cat([matrix.flatten(0, 1) for matrix in matrices]),
        pair_ptr=torch.tensor([0, 9, 25]),
    )
    return batch, matrices


def test_they_are_the_numbers_of_edges_and_the_encoding_of_nodes() -> None:
    batch, matrices = two_graphs(2)
    torch.manual_seed(1)
    model = GIN(DataSpec("graph", 2, 4, pair_dim=2), **SETTINGS)
    torch.manual_seed(1)
    other = GIN(DataSpec("graph", 2, 4, pe_dim=2, edge_dim=2), **SETTINGS)
    other.load_state_dict(model.state_dict())
    sources, targets = batch.edge_index.tolist()
    value = {
        (3 * g + i, 3 * g + j): matrix[i, j]
        for g, matrix in enumerate(matrices)
        for i in range(len(matrix))
        for j in range(len(matrix))
    }
    stated = replace(
        batch,
        pairs=None,
        pair_ptr=None,
        pe=torch.stack([value[node, node] for node in range(7)]),
        edge_attr=torch.stack([value[i, j] for j, i in zip(sources, targets, strict=True)]),
        memo={},
    )
    assert torch.equal(model(batch), other(stated))
    changed = replace(batch, pairs=batch.pairs + 1, memo={})
    assert not torch.allclose(model(changed), model(batch))
