import gc
import weakref

import torch

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.kernels import CSR, spmm
from gbench.models.receptive import field_of, shells_of


def batch_of(edges: torch.Tensor, x: torch.Tensor) -> Batch:
    graph, _ = CSR.from_edge_index(edges, len(x))
    ptr = torch.tensor([0, len(x)], dtype=torch.int32)
    return Batch(x=x, graph=graph, node_ptr=ptr, edge_attr=None, y=torch.zeros(len(x)))


def test_a_path_is_read_as_far_as_there_are_layers() -> None:
    forth = torch.stack([torch.arange(9), torch.arange(1, 10)])  # 0 → 1 → ... → 9
    batch = batch_of(forth, torch.randn(10, 3))
    field = field_of(batch, torch.tensor([5, 5, 8]), 2)
    assert field.nodes[:2].tolist() == [5, 8]
    assert sorted(field.nodes.tolist()) == [3, 4, 5, 6, 7, 8]
    assert [(part.graph.num_rows, part.graph.num_cols) for part in field.batches] == [
        (4, 6),
        (2, 4),
    ]
    assert field.answers(torch.tensor([[1.0], [2.0]])).flatten().tolist() == [1, 1, 2]


def test_sums_over_the_field_are_those_of_the_whole_graph() -> None:
    edges, x = torch.randint(0, 60, (2, 150)), torch.randn(60, 4).relu().double()
    batch, targets = batch_of(edges, x), torch.tensor([7, 59, 3])
    for layers in (1, 3):
        field, whole = field_of(batch, targets, layers), x
        dense, sparse = field.rows(x), SparseFeatures.of(x[:, :1] * (torch.rand(60, 1) < 0.1))
        for part in field.batches:
            dense, whole = spmm(part.graph, dense), spmm(batch.graph, whole)
        torch.testing.assert_close(field.answers(dense), whole[targets])
        assert sparse is not None
        few = field.rows(sparse)
        made = (
            spmm(each.pattern, torch.ones(1, 1).double(), each.values) for each in (few, sparse)
        )
        ours, all_rows = made
        torch.testing.assert_close(ours, all_rows[field.nodes])
        assert field.rows(sparse) is few


def test_hops_have_the_whole_graph_in_the_order_of_the_distance_from_the_targets() -> None:
    forth = torch.stack([torch.arange(9), torch.arange(1, 10)])  # 0 → 1 → ... → 9
    batch = batch_of(forth, torch.randn(10, 3))
    shells = shells_of(batch, torch.tensor([5, 5, 8]), 2)
    assert shells.nodes.tolist() == [5, 8, 4, 7, 3, 6]
    assert shells.reach == (2, 4, 6)
    names = [*shells.nodes.tolist(), 0, 1, 2, 9]
    found = {tuple(names[end] for end in edge) for edge in shells.batches[0].graph.edge_index.t()}
    assert found == {*zip(*forth.tolist(), strict=True)}
    assert shells.answers(torch.tensor([[1.0], [2.0]])).flatten().tolist() == [1, 1, 2]
    assert shells_of(batch, torch.tensor([9]), 0).reach == (1,)


def test_it_is_kept_with_the_graph_and_gone_with_the_targets() -> None:
    batch, targets = batch_of(torch.randint(0, 9, (2, 30)), torch.randn(9, 2)), torch.tensor([1])
    asking = batch.with_targets(targets)
    field = field_of(asking, targets, 2)
    assert field_of(asking, targets, 2) is field
    asking.graph = batch_of(torch.randint(0, 9, (2, 30)), asking.x).graph
    assert field_of(asking, targets, 2) is not field
    gone = weakref.ref(targets)
    del field, asking, targets
    gc.collect()
    assert gone() is None
