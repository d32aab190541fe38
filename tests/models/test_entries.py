"""What the two ends of each entry say, on a graph whose rows are other nodes than its columns."""

from __future__ import annotations

import torch

from gbench.kernels.csr import CSR
from gbench.kernels.segment_reduce import segment_reduce, spread
from gbench.kernels.spmm import gathered_sum
from gbench.models.entries import of_columns, of_rows


def test_ends_and_their_gradients():
    graph, _ = CSR.from_edge_index(torch.tensor([[0, 2, 2, 1, 2], [1, 1, 1, 0, 3]]), 4, 3)
    own, other = torch.randn(4, 2).double(), torch.randn(3, 2).double()
    assert torch.equal(of_rows(graph, own), own[graph.row])
    assert torch.equal(of_columns(graph, other), other[graph.col.long()])
    assert torch.autograd.gradcheck(lambda x: of_rows(graph, x), own.requires_grad_())
    assert torch.autograd.gradcheck(lambda x: of_columns(graph, x), other.requires_grad_())


def test_sums_of_named_rows_are_those_of_the_rows_in_that_order():
    graph, _ = CSR.from_edge_index(torch.randint(0, 9, (2, 40)), 9)
    x = torch.randn(40, 3)
    found = gathered_sum(graph.rowptr_t, graph.perm_t, x, graph.longest)
    expected = segment_reduce(graph.rowptr_t, x[graph.perm_t.long()])
    torch.testing.assert_close(found, expected)
    assert torch.equal(spread(graph.rowptr, x[:9].half(), 40), x[:9].half()[graph.row])
