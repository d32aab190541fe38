"""One rule for labels, whatever form they come in: classes are what occurs, and gaps are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from gbench.data import manage
from gbench.errors import UserError
from gbench.train.losses import loss_of
from gbench.train.metrics import score
from tests.data.own_data import labelled, nodes, read, ring, saved, told

NAN = float("nan")

CLASSES = [  # labels as words, the classes in their order, how many are unlabelled
    (["1", "-1"], ["-1", "1"], 0),
    (["2019", "2023", "2021"], ["2019", "2021", "2023"], 0),
    (["20000003", "10000007"], ["10000007", "20000003"], 0),
    (["123456789012345678", "123456789012345679"], ["123456789012345678", "123456789012345679"], 0),
    (["10", "9", ""], ["9", "10"], 10),
    (["1.0", "0.0", ""], ["0", "1"], 10),
    (["0", "1", "NA"], ["0", "1"], 10),
    (["0", "1", "nan"], ["0", "1"], 10),
    (["0", "1", "NaN"], ["0", "1"], 10),
    (["0", "1", "None"], ["0", "1"], 10),
    (["0", "1", "<NA>"], ["0", "1"], 10),
    (["red", "blue", "NA"], ["blue", "red"], 10),
    (["Some", "None"], ["None", "Some"], 0),
    (["True", "False"], ["False", "True"], 0),
    (["007", "7", "12"], ["007", "12", "7"], 0),
    (["-1", "0", "1"], ["-1", "0", "1"], 0),
]


@pytest.mark.parametrize(("words", "classes", "gaps"), CLASSES)
def test_words_of_a_table(tmp_path: Path, words: list[str], classes: list[str], gaps: int) -> None:
    labels = [words[i % len(words)] for i in range(30)]
    folder = nodes(tmp_path / "mine", labels)
    dataset, text = read(folder), told(folder)
    assert dataset.card.loss == "cross-entropy" and dataset.spec.num_outputs == len(classes)
    counts = ", ".join(f"{name} ({labels.count(name) or 10:,})" for name in classes)
    if "1.0" not in words:
        assert f"{len(classes)}: {counts}" in text
    assert (f"{gaps} of 30 nodes" in text) == bool(gaps)
    in_parts = torch.cat([*dataset.split]).tolist()
    assert sorted(in_parts) == [
        i for i in range(30) if words[i % len(words)] != words[-1] or not gaps
    ]
    if "1.0" not in words:
        assert [classes[k] for k in dataset.store.y[in_parts].tolist()] == [
            labels[i] for i in in_parts
        ]


SAVED = [
    (torch.tensor([-1, 1]), ["-1", "1"], 0),
    (torch.tensor([2019, 2023, 2021]), ["2019", "2021", "2023"], 0),
    (torch.tensor([20_000_003, 10_000_007]), ["10000007", "20000003"], 0),
    (torch.tensor([0.0, 1.0, NAN]), ["0", "1"], 10),
    (torch.tensor([2.0, 5.0, NAN]), ["2", "5"], 10),
    (torch.tensor([True, False]), ["False", "True"], 0),
    (torch.tensor([-1, 0, 1]), ["-1", "0", "1"], 0),
    (np.array([3, 1, 2]), ["1", "2", "3"], 0),
    (["cat", "ant", "bee"], ["ant", "bee", "cat"], 0),
    (["cat", "ant", None], ["ant", "cat"], 10),
    ([4, 7, None], ["4", "7"], 10),
]


@pytest.mark.parametrize(("few", "classes", "gaps"), SAVED)
@pytest.mark.parametrize("level", ["node", "graph"])
def test_labels_of_a_saved_dataset(
    tmp_path: Path, few: Any, classes: list[str], gaps: int, level: str
) -> None:
    many = [few[i % len(few)] for i in range(30)]
    if level == "graph":  # as people write them: a number, a word, a tensor, each by itself
        content: Any = [Data(x=torch.ones(3, 1), edge_index=ring(3), y=y) for y in many]
    else:
        stacked = torch.stack(many) if isinstance(few, torch.Tensor) else many
        content = labelled(np.array(many) if isinstance(few, np.ndarray) else stacked)
    folder = saved(tmp_path / "mine", content)
    dataset, text = read(folder), told(folder)
    assert dataset.card.task == f"{level}-classification"
    assert dataset.spec.num_outputs == len(classes)
    assert ", ".join(f"{name} ({30 // len(few)})" for name in classes) in text
    assert (f"{gaps} of 30 {level}s" in text) == bool(gaps)
    in_parts = sorted(torch.cat([*dataset.split]).tolist())
    assert in_parts == [i for i in range(30) if i % len(few) < len(few) - bool(gaps)]


@pytest.mark.parametrize("form", ["table", "saved"])
def test_minus_one_is_a_class_that_is_told_unless_it_is_stated(tmp_path: Path, form: str) -> None:
    if form == "table":
        folder = nodes(tmp_path / "mine", ["-1", "0", "1"] * 10)
    else:
        folder = saved(tmp_path / "mine", labelled(torch.arange(30) % 3 - 1))
    assert "label -1 (10 times) is a class; if it means unlabelled, write `unlabelled: -1`" in told(
        folder
    )
    (folder / "dataset.yaml").write_text("unlabelled: -1\n")
    assert "10 of 30 nodes, as -1" in told(folder)
    dataset = read(folder)
    assert dataset.spec.num_outputs == 2 and not dataset.notes[0].startswith("label")
    assert all(i % 3 for i in torch.cat([*dataset.split]).tolist())


def test_two_columns_of_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"y has 2 columns of words, and one are classes"):
        read(saved(tmp_path / "mine", labelled([["ant", "bee"]] * 30)))


@pytest.mark.parametrize("mark", ["-", "?", "-1"])
def test_the_advised_mark_is_read_as_it_is_advised(tmp_path: Path, mark: str) -> None:
    folder = nodes(tmp_path / "mine", [mark, "0", "1"] * 10)
    (advice,) = re.findall(r"write `(.*)` in dataset.yaml", told(folder))
    (folder / "dataset.yaml").write_text(f"{advice}\n")
    assert f"10 of 30 nodes, as {mark}" in told(folder)


def test_a_stated_mark_stands_in_for_the_usual_ones(tmp_path: Path) -> None:
    folder = nodes(tmp_path / "mine", ["NA", "SA", "?"] * 10)
    (folder / "dataset.yaml").write_text("unlabelled: ['?']\n")
    assert "NA (10), SA (10)" in told(folder)


@pytest.mark.parametrize(
    ("labels", "task"),
    [(["1.5", "inf"], ""), (["1", "-Infinity"], "classification"), (["2", "1e39"], "regression")],
)
def test_infinite_targets_of_a_table(tmp_path: Path, labels: list[str], task: str) -> None:
    folder = nodes(tmp_path / "mine", labels * 10)
    if task:
        (folder / "dataset.yaml").write_text(f"task: {task}\n")
    with pytest.raises(UserError, match=rf"nodes.csv:3: column 'label' has '{labels[1]}'"):
        read(folder)


@pytest.mark.parametrize("shape", [(30,), (30, 1), (30, 2)])
@pytest.mark.parametrize("task", ["", "regression"])
def test_infinite_targets_of_a_saved_dataset(
    tmp_path: Path, shape: tuple[int, ...], task: str
) -> None:
    y = torch.linspace(0, 1, 30).view(-1, 1).repeat(1, 2)[:, : shape[1] if shape[1:] else 1]
    y = y.reshape(shape).clone()
    y[7] = float("inf")
    folder = saved(tmp_path / "mine", labelled(y))
    if task:
        (folder / "dataset.yaml").write_text(f"task: {task}\n")
    with pytest.raises(UserError, match=r"y of node 7 is .*inf.*: labels are finite numbers"):
        read(folder)


@pytest.mark.parametrize("form", ["table", "saved"])
@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_a_gap_among_several_targets_leaves_out_one_entry(
    tmp_path: Path, form: str, metric: str
) -> None:
    y = torch.linspace(0, 9, 60).view(30, 2)
    y[3, 0] = y[4, 1] = y[5] = NAN
    if form == "table":
        rows = [",".join("" if v != v else str(v) for v in row) for row in y.tolist()]
        folder = nodes(tmp_path / "mine", rows, "label_a,label_b")
    else:
        folder = saved(tmp_path / "mine", labelled(y))
    (folder / "dataset.yaml").write_text(f"metric: {metric}\n")
    dataset, text = read(folder), told(folder)
    assert "2 of 60 entries, left out of loss and metric" in text and "1 of 30 nodes" in text
    assert sorted(torch.cat([*dataset.split]).tolist()) == [i for i in range(30) if i != 5]
    assert np.array_equal(dataset.store.y.numpy(), y.numpy(), equal_nan=True)
    rows_ = torch.tensor([2, 3, 4])
    logits = torch.zeros(3, 2, requires_grad=True)
    errors = y[rows_][~y[rows_].isnan()].abs()
    loss = loss_of(dataset.card, logits, dataset.store.y[rows_])
    expected = errors.mean() if metric == "mae" else errors.square().mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert logits.grad is not None and logits.grad[1, 0] == logits.grad[2, 1] == 0
    value = score(dataset.card, logits.detach(), dataset.store.y[rows_])
    by_task = [y[rows_, k][~y[rows_, k].isnan()].square().mean().sqrt() for k in range(2)]
    wanted = errors.mean() if metric == "mae" else torch.stack(by_task).mean()
    assert value == pytest.approx(float(wanted))


def test_a_target_that_a_part_lacks_leaves_the_others_their_error(tmp_path: Path) -> None:
    y = torch.linspace(0, 9, 60).view(30, 2)
    folder = saved(tmp_path / "mine", labelled(y))
    (folder / "dataset.yaml").write_text("metric: rmse\n")
    target = torch.tensor([[3.0, NAN], [4.0, NAN]])
    assert score(read(folder).card, torch.zeros(2, 2), target) == pytest.approx(12.5**0.5)


def test_gaps_among_binary_tasks(tmp_path: Path) -> None:
    folder = nodes(tmp_path / "mine", ["1,0", ",1", "0,NA", ","] * 10, "label_a,label_b")
    dataset, text = read(folder), told(folder)
    assert dataset.card.loss == "bce" and dataset.store.y[:3].isnan().tolist() == [
        [False, False], [True, False], [False, True],
    ]  # fmt: skip
    assert "positive    a 10 of 20, b 10 of 20" in text
    assert "10 of 40 nodes, as NA" in text and "20 of 80 entries" in text


def test_one_hot_rows_are_told_and_may_be_classes(tmp_path: Path) -> None:
    folder = nodes(tmp_path / "mine", ["1,0,0", "0,1,0", "0,0,1"] * 10, "label_a,label_b,label_c")
    assert read(folder).card.loss == "bce" and "has one 1: they are tasks of their own" in told(
        folder
    )
    (folder / "dataset.yaml").write_text("task: classification\n")
    assert "classes    3: a (10), b (10), c (10)" in told(folder)


def test_whole_floats_are_told_and_may_be_regressed(tmp_path: Path) -> None:
    folder = saved(tmp_path / "mine", labelled((torch.arange(30) % 4).float()))
    assert "y holds whole numbers as floats, taken for classes" in told(folder)
    (folder / "dataset.yaml").write_text("task: regression\n")
    assert read(folder).card.loss == "l1" and "targets  0 to 3, mean 1.433" in told(folder)


@pytest.mark.parametrize("given", ["one tensor", "list"])
def test_labels_of_the_nodes_of_many_graphs_are_of_nodes(tmp_path: Path, given: str) -> None:
    sizes = [4, 5, 6] if given == "list" else [5, 5, 5]
    content = [Data(x=torch.ones(n, 1), edge_index=ring(n), y=torch.arange(n) % 2) for n in sizes]
    dataset = read(saved(tmp_path / "mine", content))
    assert dataset.card.level == "node" and dataset.store.y.numel() == 15


def test_a_graph_without_y_is_unlabelled(tmp_path: Path) -> None:
    content = [
        Data(
            x=torch.ones(3, 1), edge_index=ring(3), y=None if i % 3 == 2 else torch.tensor([i % 3])
        )
        for i in range(30)
    ]
    assert "10 of 30 graphs" in told(saved(tmp_path / "mine", content))


def test_a_single_class_is_told(tmp_path: Path) -> None:
    assert "all labels are 4: there is one class" in told(nodes(tmp_path / "mine", ["4"] * 30))


def test_a_stated_mark_that_no_label_is_gets_told(tmp_path: Path) -> None:
    folder = nodes(tmp_path / "mine", ["0", "1"] * 15)
    (folder / "dataset.yaml").write_text("unlabelled: -9\n")
    assert "no label is -9, which dataset.yaml says is unlabelled" in told(folder)
    (folder / "dataset.yaml").write_text("unlabelled: {a: 1}\n")
    with pytest.raises(UserError, match="allowed are a label and a list of labels"):
        read(folder)


def test_classes_of_one_member_are_told(tmp_path: Path) -> None:
    folder = nodes(tmp_path / "mine", [f"name {i}" for i in range(30)])
    assert "there are 30 classes for 30 items with a label" in told(folder)


def test_the_question_what_a_folder_is_has_the_same_answer(tmp_path: Path) -> None:
    folder = nodes(tmp_path / "mine", ["0", "1", "NA"] * 10)
    card = manage.card_of(str(folder))
    about = manage.about(str(folder))
    text = " ".join(manage.info(card, about, Path("/nowhere"), tmp_path / "cache").split())
    assert "classes 2: 0 (10), 1 (10)" in text and "10 of 30 nodes, as NA" in text
    assert "nodes.csv id; 1 feature (f); classification of label" in text
    assert "no cross-validation" in text
