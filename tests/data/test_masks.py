"""Splits that a saved graph states in part, or in other words: kept, told, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

from gbench.errors import UserError
from tests.data.own_data import labelled, read, ring, saved, told

NODES = torch.arange(30)
Y = NODES % 2
TRAIN, VALID, TEST = NODES < 18, (NODES >= 18) & (NODES < 24), NODES >= 24
PARTS = [[*range(18)], [*range(18, 24)], [*range(24, 30)]]

STATED: list[dict[str, Any]] = [
    {"train_mask": TRAIN, "val_mask": VALID, "test_mask": TEST},
    {"train_mask": TRAIN.long(), "val_mask": VALID.byte(), "test_mask": TEST.float()},
    {"train_mask": TRAIN.view(-1, 1), "valid_mask": VALID, "test_mask": TEST},
    {"train_idx": NODES[TRAIN], "val_idx": NODES[VALID], "test_idx": NODES[TEST]},
    {"split_idx": {"train": NODES[TRAIN], "valid": NODES[VALID], "test": NODES[TEST]}},
]


@pytest.mark.parametrize("more", STATED)
def test_masks_and_indices_are_one_split(tmp_path: Path, more: dict[str, Any]) -> None:
    dataset = read(saved(tmp_path / "mine", labelled(Y, **more)))
    assert dataset.card.split == "own" and not dataset.notes
    assert [part.tolist() for part in dataset.split] == PARTS


def test_without_a_validation_mask_the_test_part_is_kept(tmp_path: Path) -> None:
    folder = saved(tmp_path / "mine", labelled(Y, train_mask=~TEST, test_mask=TEST))
    dataset = read(folder)
    assert dataset.split.test.tolist() == PARTS[2]
    assert sorted([*dataset.split.train.tolist(), *dataset.split.valid.tolist()]) == [*range(24)]
    assert Y[dataset.split.valid].tolist().count(0) == 2 and len(dataset.split.valid) == 4
    assert (
        "4 items, 20 % of the training part, are drawn for it; the test part is as given"
        in told(folder)
    )
    assert read(folder).fingerprint == dataset.fingerprint  # the same draw each time
    empty = labelled(Y, train_mask=~TEST, val_mask=TEST & VALID, test_mask=TEST)
    assert read(saved(tmp_path / "empty", empty)).fingerprint == dataset.fingerprint


def test_each_of_several_splits_gets_its_own_validation_part(tmp_path: Path) -> None:
    tests = torch.stack([TEST, NODES < 6, VALID], 1)
    dataset = read(saved(tmp_path / "mine", labelled(Y, train_mask=~tests, test_mask=tests)))
    assert dataset.card.num_folds == 3 and dataset.split.test.tolist() == PARTS[2]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"train_mask": TRAIN}, "there are masks, but no test_mask: save one, or write splits.csv"),
    ({"train_mask": TRAIN, "val_mask": VALID}, "there are masks, but no test_mask"),
    ({"test_mask": TEST}, "there are masks, but no train_mask"),
    ({"train_mask": TRAIN, "val_mask": TRAIN, "test_mask": TEST}, "share 18 nodes, such as node 0"),
    ({"train_mask": TRAIN[:9], "test_mask": TEST}, r"train_mask has shape \(9,\), expected"),
    ({"train_mask": TRAIN, "test_mask": TEST & VALID}, "the test mask of split 0 is empty"),
    ({"train_mask": TRAIN.expand(3, 30), "test_mask": TEST}, r"expected \(30,\) or \(30, splits\)"),
    ({"train_idx": NODES + 5, "test_idx": NODES[:2]}, "train_idx names nodes outside 0..29"),
    (
        {"train_mask": TRAIN.repeat(2, 1).T, "test_mask": TEST.repeat(3, 1).T},
        r"different numbers of splits: \[2, 3\]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("more", "message"), REFUSED)
def test_masks_that_are_no_split(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    folder = saved(tmp_path / "mine", labelled(Y, **more))
    with pytest.raises(UserError, match=message):
        read(folder)
    lines = [f"{i},{('train', 'valid', 'test')[i // 10]}\n" for i in range(30)]
    (folder / "splits.csv").write_text("id,part\n" + "".join(lines))
    assert f"not used are {next(iter(more))}" in told(folder)  # a table takes their place


def test_a_node_in_a_mask_has_a_label(tmp_path: Path) -> None:
    y = Y.float()
    y[25] = float("nan")
    folder = saved(tmp_path / "mine", labelled(y, train_mask=TRAIN, val_mask=VALID, test_mask=TEST))
    with pytest.raises(UserError, match="node 25 is in a mask but has no label"):
        read(folder)


def test_masks_of_nodes_are_named_where_graphs_are_predicted(tmp_path: Path) -> None:
    mask = torch.tensor([True, False, True])
    graphs = [Data(x=torch.ones(3, 1), edge_index=ring(3), y=torch.tensor([i % 2]), train_mask=mask)
              for i in range(10)]  # fmt: skip
    assert "not used are train_mask (*)" in told(saved(tmp_path / "mine", graphs))
