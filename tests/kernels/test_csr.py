import numpy
import pytest
import scipy.sparse
import torch

from gbench.kernels import CSR
from gbench.kernels.csr import INT32_MAX, UNKNOWN

EDGES = torch.tensor([[2, 0, 1, 2, 0], [0, 1, 0, 3, 1]])  # 2→0, 0→1, 1→0, 2→3 and 0→1 again


def test_rows_hold_in_neighbours_in_rising_order() -> None:
    graph, order = CSR.from_edge_index(EDGES, 4)
    assert graph.rowptr.tolist() == [0, 2, 4, 4, 5]
    assert graph.col.tolist() == [1, 2, 0, 0, 2]
    assert order.tolist() == [2, 0, 1, 4, 3]  # the repeated edge keeps its order
    assert graph.in_degree.tolist() == [2, 2, 0, 1]
    assert graph.out_degree.tolist() == [2, 1, 2, 0]
    assert all(
        part.dtype == torch.int32
        for part in (graph.rowptr, graph.col, graph.rowptr_t, graph.col_t, graph.perm_t)
    )


def test_the_entries_of_some_rows_come_in_the_order_of_the_rows(graph: CSR) -> None:
    nodes = torch.randperm(graph.num_rows, generator=torch.Generator().manual_seed(0))[:9]
    nodes = torch.cat([nodes, nodes[:1]])  # one of them twice
    row, entry = graph.entries_of(nodes)
    begins = graph.rowptr.tolist()
    rows = [[*range(begins[node], begins[node + 1])] for node in nodes.tolist()]
    assert entry.tolist() == [place for places in rows for place in places]
    assert row.tolist() == [at for at, places in enumerate(rows) for _ in places]
    assert row.dtype is entry.dtype is torch.int64


def test_transpose_lists_receivers_and_where_each_entry_stands() -> None:
    graph, _ = CSR.from_edge_index(EDGES, 4)
    assert graph.rowptr_t.tolist() == [0, 2, 3, 5, 5]
    assert graph.col_t.tolist() == [1, 1, 0, 0, 3]
    assert graph.perm_t.tolist() == [2, 3, 0, 1, 4]


def test_the_longest_row_or_column_is_counted_and_kept(graph: CSR) -> None:
    degrees = torch.cat([graph.in_degree, graph.out_degree])
    assert graph.longest == (int(degrees.max()) if degrees.numel() else 0)
    assert graph.t.longest == graph.to("cpu").longest == graph.bound == graph.longest
    nobody_counted = CSR(*graph.arrays)
    assert nobody_counted.longest is nobody_counted.t.longest is None
    assert nobody_counted.bound == UNKNOWN


def test_the_dense_matrix_and_its_transpose(graph: CSR) -> None:
    values = torch.arange(1.0, graph.num_entries + 1)
    size = (graph.num_rows, graph.num_cols)
    dense = torch.zeros(size).index_put_((graph.row, graph.col.long()), values, accumulate=True)
    t = graph.t
    values_t = values[graph.perm_t.long()]
    dense_t = torch.zeros(size[::-1]).index_put_((t.row, t.col.long()), values_t, accumulate=True)
    assert torch.equal(dense.T, dense_t)
    again = t.t
    assert torch.equal(again.perm_t, graph.perm_t)
    assert torch.equal(values_t[t.perm_t.long()], values)


def test_edge_index_comes_back_sorted_by_target_then_source() -> None:
    edges = torch.randint(0, 50, (2, 400), generator=torch.Generator().manual_seed(1))
    graph, order = CSR.from_edge_index(edges, 50)
    assert torch.equal(graph.edge_index, edges[:, order])
    key = graph.edge_index[1] * 50 + graph.edge_index[0]
    assert bool((key.diff() >= 0).all())


def test_agrees_with_scipy_on_a_bipartite_pattern() -> None:
    edges = torch.stack([torch.randperm(70)[:25], torch.arange(25) % 9])
    graph, _ = CSR.from_edge_index(edges, 9, 70)
    sparse = scipy.sparse.csr_array((numpy.ones(25), edges.flip(0).numpy()), (9, 70))
    assert graph.rowptr.tolist() == sparse.indptr.tolist()
    assert graph.col.tolist() == sparse.indices.tolist()
    assert (graph.num_rows, graph.num_cols, graph.num_entries) == (9, 70, 25)
    assert (graph.t.num_rows, graph.t.num_cols) == (70, 9)


@pytest.mark.parametrize(
    ("edges", "rows", "cols"),
    [
        ([[0], [3]], 3, None),
        ([[3], [0]], 3, None),
        ([[-1], [0]], 3, None),
        ([[0], [-1]], 3, None),
        ([[5], [0]], 9, 5),
        ([[0], [5]], 5, 9),
    ],
)
def test_an_index_out_of_range_is_refused(
    edges: list[list[int]], rows: int, cols: int | None
) -> None:
    with pytest.raises(ValueError, match="outside"):
        CSR.from_edge_index(torch.tensor(edges), rows, cols)


def test_sizes_beyond_32_bits_are_refused() -> None:
    nothing = torch.zeros(2, 0, dtype=torch.int64)
    with pytest.raises(ValueError, match="32-bit"):
        CSR.from_edge_index(nothing, INT32_MAX)
    with pytest.raises(ValueError, match="32-bit"):
        CSR.from_edge_index(nothing, 1, INT32_MAX)
    too_many = torch.zeros(1, dtype=torch.int64).expand(2, INT32_MAX)  # no memory behind it
    with pytest.raises(ValueError, match="32-bit"):
        CSR.from_edge_index(too_many, 1)
    with pytest.raises(ValueError, match="at most 2147483646 of each"):
        CSR.from_edge_index(torch.empty(2, 2**40, dtype=torch.int64, device="meta"), 1)


def test_arrays_of_64_bits_are_refused() -> None:
    graph, _ = CSR.from_edge_index(EDGES, 4)
    parts = [graph.rowptr, graph.col, graph.rowptr_t, graph.col_t, graph.perm_t]
    for position, name in enumerate(("rowptr", "col", "rowptr_t", "col_t", "perm_t")):
        wide = [part.long() if k == position else part for k, part in enumerate(parts)]
        with pytest.raises(TypeError, match=rf"^{name} is torch\.int64"):
            CSR(*wide)


@pytest.mark.parametrize(
    "edges",
    [torch.zeros(3, 4, dtype=torch.int64), torch.zeros(4, dtype=torch.int64), torch.zeros(2, 4)],
)
def test_edges_of_another_form_are_refused(edges: torch.Tensor) -> None:
    with pytest.raises(TypeError, match="edge_index is"):
        CSR.from_edge_index(edges, 5)
