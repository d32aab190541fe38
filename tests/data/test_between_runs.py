"""A dataset that one run has read serves the next one, as long as it is the same."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gbench.config.compose import compose
from gbench.data import between_runs
from gbench.data.dataset import Dataset
from gbench.data.files import cache
from gbench.data.load import load
from gbench.data.spec import DataCard


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> DataCard:
    for name, value in (("_is_on", True), ("_last", None), ("_derived", "")):
        monkeypatch.setattr(between_runs, name, value)
    return DataCard.from_config(compose(["model=gcn", "data=csbm", "data.num_nodes=100"])["data"])


def read(card: DataCard, folder: Path) -> Dataset:
    between_runs.begin("a model")
    return load(card, folder, folder)


def test_the_same_data_are_read_once(card: DataCard, tmp_path: Path) -> None:
    first = read(card, tmp_path)
    again, other = read(card, tmp_path), read(replace(card, fold=1), tmp_path)
    assert first.store is again.store is other.store
    assert again.split is first.split
    assert not torch.equal(other.split.train, first.split.train)
    assert again.store.to("cpu").whole() is first.store.whole()


def test_what_another_run_derives_is_not_kept(card: DataCard, tmp_path: Path) -> None:
    first = read(card, tmp_path)
    between_runs.begin("another model")
    assert load(card, tmp_path, tmp_path).store is not first.store


def test_a_file_that_was_written_anew_is_read_anew(card: DataCard, tmp_path: Path) -> None:
    first = read(card, tmp_path)
    path = cache.path_of(card, tmp_path)
    os.utime(path, ns=(0, 0))
    assert read(card, tmp_path).store is not first.store
    path.unlink()
    made = read(card, tmp_path)
    assert made.store is not first.store
    assert made.fingerprint == first.fingerprint


def test_nothing_is_kept_unless_a_process_says_so(
    card: DataCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(between_runs, "_is_on", False)
    assert read(card, tmp_path).store is not read(card, tmp_path).store
