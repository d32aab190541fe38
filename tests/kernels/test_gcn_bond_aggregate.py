import pytest
import torch
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import degree

from gbench.kernels import CSR, gcn_bond_aggregate
from gbench.kernels.gcn_bond_aggregate import reference


def test_agrees_with_the_reference(graph, width, dtype, assert_agrees) -> None:
    code = torch.randint(0, 7, (graph.num_entries,), dtype=torch.uint8)
    assert_agrees(
        lambda x, table, root: gcn_bond_aggregate(graph, x, table, code, root),
        lambda x, table, root: reference(graph, x, table, code, root),
        torch.randn(graph.num_rows, width).to(dtype),
        torch.randn(7, width).to(dtype),
        torch.randn(width).to(dtype),
    )


@pytest.mark.parametrize("num_codes", [1, 2, 3])
def test_rows_of_every_length_and_every_pattern_of_equal_codes(num_codes, assert_agrees) -> None:
    graph, _ = CSR.from_edge_index(torch.randint(0, 300, (2, 600)), 300)
    code = torch.randint(0, num_codes, (600,), dtype=torch.uint8)
    assert_agrees(
        lambda x, table, root: gcn_bond_aggregate(graph, x, table, code, root),
        lambda x, table, root: reference(graph, x, table, code, root),
        torch.randn(300, 5, dtype=torch.float64),
        torch.randn(num_codes, 5, dtype=torch.float64),
        torch.randn(5, dtype=torch.float64),
    )


def test_is_the_published_layer_as_message_passing(random_graph) -> None:
    class Published(MessagePassing):
        def __init__(self) -> None:
            super().__init__(aggr="add")

        def forward(self, x, edge_index, bond, root):
            count = degree(edge_index[0], x.size(0)) + 1
            norm = (count[edge_index[0]] * count[edge_index[1]]).pow(-0.5)
            own = (x + root).relu() / count[:, None]
            return self.propagate(edge_index, x=x, bond=bond, norm=norm) + own

        def message(self, x_j, bond, norm):
            return norm[:, None] * (x_j + bond).relu()

    x, table, root = torch.randn(40, 6), torch.randn(5, 6), torch.randn(6)
    code = torch.randint(0, 5, (120,))
    torch.testing.assert_close(
        gcn_bond_aggregate(random_graph, x, table, code, root),
        Published()(x, random_graph.edge_index, table[code], root),
    )


def test_two_bonded_atoms_by_hand() -> None:
    graph, _ = CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]]), 2)
    x, table = torch.tensor([[3.0], [-1.0]]), torch.tensor([[0.5]])
    out = gcn_bond_aggregate(graph, x, table, torch.zeros(2, dtype=torch.uint8), torch.ones(1))
    # d = 2: node 0 gets relu(-0.5) / 2 + relu(4) / 2, node 1 gets relu(3.5) / 2 + relu(0) / 2
    torch.testing.assert_close(out, torch.tensor([[2.0], [1.75]]))


def test_wrong_arguments_are_named(random_graph) -> None:
    x, table = torch.randn(40, 3), torch.randn(5, 3)
    code = torch.zeros(120, dtype=torch.int32)
    with pytest.raises(ValueError, match="root has shape"):
        gcn_bond_aggregate(random_graph, x, table, code, torch.randn(4))
    with pytest.raises(TypeError, match=r"root is torch\.float64"):
        gcn_bond_aggregate(random_graph, x, table, code, torch.randn(3).double())
    code[3] = 5
    with pytest.raises(IndexError, match=r"edge_code\[3\] is 5"):
        gcn_bond_aggregate(random_graph, x, table, code, torch.randn(3))
