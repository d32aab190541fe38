"""Several graphs whose nodes have labels: split by graphs, batches of graphs, judged by nodes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from gbench.contracts.part import part_of
from gbench.data.dataset import Dataset
from gbench.data.graph_splits import graphs_of, nodes_of
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.train.labelled_graphs import LabelledGraphs
from gbench.train.sources import Share
from tests.data.own_data import read, ring, saved, tables, told

SIZES = (5, 3, 8, 4, 6, 7, 3, 9)
SHARE = Share(0, 3, 0, 1, 5)


def graphs(*, multi_label: bool = False, **more: Any) -> list[Data]:
    """Rings whose node i has the label i % 3, or tasks of its bits."""
    made = []
    for n in SIZES:
        i = torch.arange(n)
        y = torch.stack([i % 2, i % 3 == 0], 1).float() if multi_label else i % 3
        made.append(Data(x=torch.eye(10)[:n, :4], edge_index=ring(n), y=y, **more))
    return made


SPLITS = "id,part\n0,train\n2,train\n4,train\n5,train\n1,valid\n6,valid\n3,test\n7,test\n"


def dataset(folder: Path, content: Any) -> Dataset:
    saved(folder, content)
    (folder / "splits.csv").write_text(SPLITS)
    return read(folder)


def nodes(*which: int) -> list[int]:
    starts = [sum(SIZES[:i]) for i in range(len(SIZES))]
    return [starts[g] + i for g in sorted(which) for i in range(SIZES[g])]


@pytest.mark.parametrize("multi_label", [False, True])
def test_parts_have_whole_graphs(tmp_path: Path, multi_label: bool) -> None:
    found = dataset(tmp_path / "mine", graphs(multi_label=multi_label))
    assert found.card.level == "node" and found.store.num_graphs == len(SIZES)
    assert found.card.metric == ("rocauc" if multi_label else "accuracy")
    parts = [part.tolist() for part in found.split]
    assert parts == [nodes(0, 2, 4, 5), nodes(1, 6), nodes(3, 7)]
    assert found.statistics["num_graphs"] == 8 and found.statistics["num_train"] == 26
    assert graphs_of(found.store, found.split.valid).tolist() == [1, 6]
    assert nodes_of(found.store, torch.tensor([6, 1])).tolist() == [*nodes(6), *nodes(1)]


def test_a_batch_has_graphs_and_evaluation_all_nodes_of_a_part(tmp_path: Path) -> None:
    found = dataset(tmp_path / "mine", graphs())
    source = LabelledGraphs.of(found, 2, 0)
    assert (source.num_batches(26, 0, 1), source.num_items(26, 2, 2)) == (2, 26)
    seen = []
    for batch in source.training(found, SHARE)(0):
        assert batch.num_graphs == 2 and batch.targets is None
        seen += batch.node_ptr.diff().tolist()
    assert sorted(seen) == sorted(SIZES[g] for g in (0, 2, 4, 5))
    for size in (1, 512):
        batches = [*source.evaluation(found, found.split.test, size)]
        y = torch.cat([batch.y for batch in batches])
        assert torch.equal(y, found.store.y[found.split.test])


def test_nodes_without_a_label_are_no_targets(tmp_path: Path) -> None:
    made = graphs()
    for graph in made:
        graph.y[1] = -1
    folder = tmp_path / "mine"
    saved(folder, made)
    (folder / "splits.csv").write_text(SPLITS)
    (folder / "dataset.yaml").write_text("unlabelled: -1\n")
    found = read(folder)
    assert found.split.test.tolist() == [n for i, n in enumerate(nodes(3, 7)) if i not in (1, 5)]
    source = LabelledGraphs.of(found, 3, 0)
    for batch in source.training(found, SHARE)(0):
        first = batch.node_ptr[:-1].long()
        assert batch.targets is not None
        assert not torch.isin(first + 1, batch.targets).any()
        assert batch.targets.numel() == batch.num_nodes - batch.num_graphs
    assert "8 of 45 nodes" in told(folder)


def test_what_is_said_of_a_graph_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    from gbench.models.gcn import GCN
    from gbench.train.task import Task

    found = dataset(tmp_path / "mine", graphs())
    model = GCN(found.spec, hidden_dim=8, num_layers=2, bias=True, norm="none",
                input_dropout=0.0, dropout=0.0, readout="mean")  # fmt: skip
    optim = {"optimizer": "adam", "lr": 0.1, "weight_decay": 0.0, "groups": [], "options": {}}
    task = Task(model, found, optim, LabelledGraphs.of(found, 3, 0), seed=0, limit=0)
    logits, y = task.answers("test")
    alone = [model.eval()(found.store.batch(torch.tensor([g]))) for g in (3, 7)]
    assert torch.allclose(logits, torch.cat(alone), atol=1e-6)
    assert torch.equal(y, found.store.y[found.split.test])
    with torch.enable_grad():
        (batch,) = LabelledGraphs.of(found, 9, 0).training(found, SHARE)(0)
        loss = task.loss(model(batch), batch)
    expected = torch.nn.functional.cross_entropy(model(batch), batch.y)
    assert torch.allclose(loss if isinstance(loss, Tensor) else loss[0], expected)


def test_the_same_in_tables(tmp_path: Path) -> None:
    rows = [f"g{g}n{i},{i % 4},{i % 3},g{g}\n" for g, n in enumerate(SIZES) for i in range(n)]
    rows = [*rows[::2], *rows[1::2]]  # in any order
    edges = [
        f"g{g}n{i},g{g}n{(i + 1) % n}\n" for g, n in enumerate(SIZES) for i in range(n)
    ]  # fmt: skip
    files = {"nodes": "id,f,label,graph\n" + "".join(rows)}
    files["edges"] = "source,target\n" + "".join(edges)
    files["splits"] = "".join(f"g{line}\n" if line[0].isdigit() else f"{line}\n"
                              for line in SPLITS.split())  # fmt: skip
    found = read(tables(tmp_path / "mine", **files))
    assert found.card.level == "node" and found.store.num_graphs == 8
    test = graphs_of(found.store, found.split.test).tolist()
    assert sorted(found.store.ranges[2][test].tolist()) == [SIZES[3], SIZES[7]]
    assert found.store.y.sum() == sum(i % 3 for n in SIZES for i in range(n))
    local = torch.cat([torch.arange(n) for n in found.store.ranges[2].tolist()])
    assert torch.equal(found.store.x.view(-1).long() % 4, found.store.x.view(-1).long())
    assert found.store.y.numel() == local.numel()
    drawn = {name: text for name, text in files.items() if name != "splits"}
    found = read(tables(tmp_path / "drawn", **drawn))
    assert found.card.split == "graphs-60-20-20"
    parts = [graphs_of(found.store, part).tolist() for part in found.split]
    assert sorted(sum(parts, [])) == [*range(8)]  # noqa: RUF017
    (tmp_path / "mine" / "edges.csv").write_text("source,target\ng0n0,g1n0\n")
    with pytest.raises(UserError, match="'g0n0' and 'g1n0' are nodes of two graphs"):
        read(tmp_path / "mine")


def test_a_small_part_for_contracts_is_of_each_part(tmp_path: Path) -> None:
    found = dataset(tmp_path / "mine", graphs())
    part = part_of(replace(found, card=found.card))
    assert part.store.num_graphs == 3 and part.store.num_nodes == 5 + 3 + 4
    assert [ids.tolist() for ids in part.split] == [[*range(5)], [5, 6, 7], [8, 9, 10, 11]]


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    made = graphs()
    made[2].y = None
    with pytest.raises(UserError, match="graph 2 has no y, and others have labels for their nodes"):
        dataset(tmp_path / "gap", made)
    made = graphs()
    for g in (3, 7):
        made[g].y = made[g].y * 0 - 1
    folder = saved(tmp_path / "unlabelled", made)
    (folder / "splits.csv").write_text(SPLITS)
    (folder / "dataset.yaml").write_text("unlabelled: -1\n")
    with pytest.raises(UserError, match="no node of the test part's graphs has a label"):
        read(folder)


def test_a_loader_of_ones_own_splits_by_graphs() -> None:
    from gbench.data.accepted import accepted
    from gbench.data.check import check_source
    from gbench.data.graph_splits import by_nodes
    from gbench.data.source import Source, Split
    from tests.data.test_edge_values import CARD

    card = DataCard(**{**CARD, "level": "node"})
    part = torch.tensor([0, 1, 0, 2, 0, 0, 1, 2])
    for split in (
        [*(part == k for k in range(3))],
        [(part == k).nonzero().view(-1) for k in range(3)],
    ):
        source = accepted(card, Source(graphs(), [Split(*split)], 3))  # type: ignore[arg-type]
        check_source(card, source)
        assert by_nodes(source).splits[0].test.tolist() == nodes(3, 7)
    of_nodes = Split(*torch.arange(45).split(15))
    source = accepted(card, Source(graphs(), [of_nodes], 3))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"outside 0..7: of several graphs with labelled nodes"):
        check_source(card, source)
