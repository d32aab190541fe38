"""Every split of every dataset is told in a sentence with its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from gbench.choices import choices, read_yaml
from gbench.data import manage
from gbench.data.split_names import MEANINGS, meaning

PAIRS = [
    (name, split)
    for name, path in choices("data").items()
    for split in read_yaml(path).get("splits") or [read_yaml(path)["split"]]
]


@pytest.mark.parametrize(("data", "split"), PAIRS)
def test_a_split_has_a_meaning_and_a_source(data: str, split: str) -> None:
    text = meaning(split, data)
    assert text.endswith(")")
    assert " (" in text
    if "selects-on-test" in split:
        assert "chosen by the test fold" in text


def test_nothing_is_explained_that_does_not_exist() -> None:
    of_folders = {"random-60-20-20"}  # see gbench/data/own.py
    assert {*read_yaml(MEANINGS)} == {split for _, split in PAIRS} | of_folders
    for split, entries in read_yaml(MEANINGS).items():
        for entry in entries if isinstance(entries, list) else []:
            assert {(data, split) for data in entry["of"]} <= {*PAIRS}


def test_info_tells_each_protocol(tmp_path: Path) -> None:
    text = manage.info(manage.card_of("cora"), "about", tmp_path, tmp_path)
    for split in ("public", "random", "geom-gcn"):
        assert f"  {split}: {meaning(split, 'cora')}" in text
