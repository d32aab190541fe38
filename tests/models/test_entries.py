"""What the two ends of each entry say, on a graph whose rows are other nodes than its columns."""

from __future__ import annotations

import torch

from gbench.kernels.csr import CSR
from gbench.models.entries import of_columns, of_rows


def test_ends_and_their_gradients():
    graph, _ = CSR.from_edge_index(torch.tensor([[0, 2, 2, 1, 2], [1, 1, 1, 0, 3]]), 4, 3)
    own, other = torch.randn(4, 2).double(), torch.randn(3, 2).double()
    assert torch.equal(of_rows(graph, own), own[graph.row])
    assert torch.equal(of_columns(graph, other), other[graph.col.long()])
    assert torch.autograd.gradcheck(lambda x: of_rows(graph, x), own.requires_grad_())
    assert torch.autograd.gradcheck(lambda x: of_columns(graph, x), other.requires_grad_())
