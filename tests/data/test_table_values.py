"""Weights, numbers and categories of edges, words and numbers of nodes, in CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gbench.errors import UserError
from tests.data.own_data import read, tables, told

NODES = "id,kind,size,height,label\n" + "".join(
    f"n{i},{'abc'[i % 3]},{i},{i / 4},{i % 2}\n" for i in range(12)
)
EDGES = "source,target,weight,bond,length,count\n" + "".join(
    f"n{i},n{(i + 1) % 12},{i - 3.5},{'xy'[i % 2]},{i / 8},{i % 3}\n" for i in range(12)
)


@pytest.mark.parametrize("directed", [False, True])
def test_columns_become_weights_numbers_and_categories(tmp_path: Path, directed: bool) -> None:
    folder = tables(tmp_path / "mine", nodes=NODES, edges=EDGES)
    if directed:
        (folder / "dataset.yaml").write_text("directed: true\n")
    dataset = read(folder)
    spec, whole = dataset.spec, dataset.store.whole()
    assert spec.has_edge_weight and spec.edge_dim == 1 and spec.edge_categories == (2, 3)
    assert spec.node_categories == (3,) and spec.num_numbers == 2
    assert whole.x.view(-1).tolist() == [i % 3 for i in range(12)]
    assert whole.x_numbers is not None
    assert whole.x_numbers.tolist() == [[i, i / 4] for i in range(12)]
    assert whole.edge_weight is not None and whole.edge_attr is not None
    assert whole.edge_combos is not None and whole.edge_code is not None
    kinds = whole.edge_combos[whole.edge_code.long()].tolist()
    found = zip(
        whole.edge_index.T.tolist(), whole.edge_weight.tolist(), whole.edge_attr.tolist(), kinds,
        strict=True,
    )  # fmt: skip
    for (source, target), weight, numbers, codes in found:
        i = source if (source + 1) % 12 == target else target
        assert (weight, numbers, codes) == (i - 3.5, [i / 8], [i % 2, i % 3])
    assert whole.graph.num_entries == (12 if directed else 24)
    text = told(folder)
    assert "weights weight; category bond of 2 values; numbers length" in text
    assert "category kind of 3 values; 2 features (size, height)" in text
    assert "not used" not in text and "taken for" not in text


def test_words_alone_are_categories_and_gaps_are_told(tmp_path: Path) -> None:
    nodes = "id,kind,label\n" + "".join(f"n{i},{['a', '', 'b'][i % 3]},{i % 2}\n" for i in range(9))
    folder = tables(tmp_path / "mine", nodes=nodes, edges="source,target\nn0,n1\n")
    dataset = read(folder)
    assert dataset.spec.node_categories == (3,) and dataset.spec.num_numbers == 0
    assert "column 'kind': 3 gaps are categories" in told(folder)


def test_more_words_than_categories_are_refused(tmp_path: Path) -> None:
    nodes = "id,name,label\n" + "".join(f"n{i},w{i},{i % 2}\n" for i in range(1001))
    with pytest.raises(UserError, match=r"nodes\.csv:1: column 'name' has 1,001 different words"):
        read(tables(tmp_path / "mine", nodes=nodes, edges="source,target\nn0,n1\n"))


def test_many_whole_numbers_of_edges_are_numbers(tmp_path: Path) -> None:
    nodes = "id,label\n" + "".join(f"n{i},{i % 2}\n" for i in range(1200))
    edges = "source,target,cents\n" + "".join(f"n{i},n{i + 1},{7 * i}\n" for i in range(1199))
    spec = read(tables(tmp_path / "mine", nodes=nodes, edges=edges)).spec
    assert spec.edge_categories is None and spec.edge_dim == 1


def test_an_edge_given_again_with_the_same_weight_counts_once(tmp_path: Path) -> None:
    edges = EDGES + "n0,n1,-3.5,x,0.0,0\nn1,n0,-3.5,x,0.0,0\n"
    folder = tables(tmp_path / "mine", nodes=NODES, edges=edges)
    assert read(folder).store.num_edges == 24
    assert "edges.csv: 1 lines repeat an edge of a line before, which counts once" in told(folder)
    (folder / "dataset.yaml").write_text("directed: true\n")
    (folder / "edges.csv").write_text(EDGES + "n1,n0,9,x,0.0,0\n")  # its own weight
    whole = read(folder).store.whole()
    assert whole.edge_weight is not None and 9.0 in whole.edge_weight.tolist()
