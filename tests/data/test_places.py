"""A path of one's own data, whatever its name and from wherever it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gbench.config.compose import compose
from gbench.data import manage
from gbench.sweep.words import alternatives, is_sweep
from tests.data.own_data import nodes


@pytest.mark.parametrize("word", ["{}/a,b", '"{}/a,b"', "'{}/a,b'", "{}/a\\,b"])
def test_a_comma_in_a_path_makes_no_list(tmp_path: Path, word: str) -> None:
    nodes(tmp_path / "a,b", ["0", "1"] * 5)
    words = ["model=gcn", "data=folder", f"data.path={word.format(tmp_path)}"]
    assert not is_sweep(words)
    assert compose(words)["data"]["folder"] == str(tmp_path / "a,b")


def test_a_quote_in_a_quoted_path_is_written_as_in_other_values(tmp_path: Path) -> None:
    nodes(tmp_path / "it's", ["0", "1"] * 5)
    words = ["model=gcn", "data=folder", f"data.path='{tmp_path}/it\\'s'"]
    assert compose(words)["data"]["folder"] == str(tmp_path / "it's")


def test_two_folders_are_still_a_list(tmp_path: Path) -> None:
    word = f"data.path={tmp_path}/a,{tmp_path}/b"
    assert alternatives(word) == [f"data.path={tmp_path}/a", f"data.path={tmp_path}/b"]


@pytest.mark.parametrize("name", [".", "./", "../mine", "./data.pt"])
def test_the_folder_one_is_in(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = nodes(tmp_path / "mine", ["0", "1"] * 5)
    monkeypatch.chdir(folder)
    if name.endswith(".pt"):
        with pytest.raises(Exception, match=r"data.pt: there is no such folder or file"):
            manage.card_of(name)
        return
    assert manage.card_of(name).name.startswith("mine-")
    assert manage.about(name).startswith("A folder of your own")
