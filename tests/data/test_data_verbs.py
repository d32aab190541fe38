"""What `gbench data` says, and that saying it stays cheap."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gbench.choices import choices, read_yaml
from gbench.data import manage
from gbench.data.files import cache
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.errors import UserError

CARDS = [name for name, path in choices("data").items() if "names" not in read_yaml(path)]


@pytest.fixture
def config_dir(toy: Any, tmp_path: Path) -> Path:
    """A user's config folder with the toy dataset in it."""
    (tmp_path / "conf" / "data").mkdir(parents=True)
    facts = {key: value for key, value in vars(toy.card()).items() if value and key != "options"}
    facts.pop("name")
    text = "# six small graphs\n" + yaml.safe_dump({**facts, "fold": 0})
    (tmp_path / "conf" / "data" / "toy.yaml").write_text(text)
    return tmp_path / "conf"


def row_of(table: str, name: str) -> str:
    (row,) = [line for line in table.splitlines() if line.split()[0] == name]
    return row


def test_get_info_list_and_clean(toy: Any, config_dir: Path) -> None:
    folders = (toy.data_dir, toy.cache_dir)
    card = manage.card_of("toy", [config_dir])
    content = toy.raw.read_bytes()
    toy.raw.unlink()
    assert "raw files missing" in row_of(manage.listing([config_dir], *folders), "toy")
    toy.raw.write_bytes(content)
    assert "raw files there" in row_of(manage.listing([config_dir], *folders), "toy")
    *facts, line = manage.get([card], *folders)
    assert facts == [
        "toy  graph-classification, accuracy, split fixed", "  classes  2: 0 (3), 1 (3)",
    ]  # fmt: skip
    assert line.startswith("toy is ready: 6 graphs, 18 nodes, 24 edges")
    assert row_of(manage.listing([config_dir], *folders), "toy").split()[:5] == [
        "toy", "graph", "fixed", "accuracy", "ready",
    ]  # fmt: skip
    text = manage.info(card, manage.about("toy", [config_dir]), *folders)
    for fact in ("six small graphs", "fixed, folds 0 to 1", "graph-classification", "nobody"):
        assert fact in text
    assert str(toy.raw.parent) in text

    prepared = cache.path_of(card, toy.cache_dir)
    assert prepared.exists()
    assert manage.clean(["toy"], toy.cache_dir).startswith("freed 0.0 MiB")
    assert not prepared.exists() and toy.raw.exists()
    load(card, *folders)
    manage.clean(["all"], toy.cache_dir)
    assert not prepared.exists() and toy.raw.exists()


def test_clean_counts_what_it_frees(tmp_path: Path) -> None:
    file = tmp_path / "data" / "cora" / "made.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(3 * 2**20))
    (tmp_path / "data" / "texas").mkdir()
    assert "freed 3.0 MiB" in manage.clean(["cora"], tmp_path)
    assert (tmp_path / "data" / "texas").exists()


@pytest.mark.parametrize("name", ["coar", "../..", "."])
def test_clean_removes_nothing_it_does_not_know(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="unknown dataset"):
        manage.clean([name], tmp_path)
    assert (tmp_path / "data").exists()


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="did you mean 'citeseer'"):
        manage.card_of("citseer")


def test_a_folder_goes_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"give its path, as in \./mygraphs"):
        load(manage.card_of("folder"), tmp_path, tmp_path)


def test_listing_and_info_import_nothing_heavy(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from gbench.data import manage
here = Path({str(tmp_path)!r})
print(manage.listing([], here, here))
print(manage.info(manage.card_of("cora"), manage.about("cora"), here, here))
print(sorted(set(sys.modules) & {{"torch", "numpy", "hydra", "omegaconf", "rich"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", CARDS)
def test_every_card_states_its_facts(name: str) -> None:
    path = choices("data")[name]
    card = manage.card_of(name)
    assert manage.about(name)
    assert {"name"}.isdisjoint(read_yaml(path))
    assert card.source and card.licence and card.citation and card.split
    assert bool(card.folder) == bool(card.download)
    for part in card.download:
        assert part["url"].startswith(("https://", "http://snap.stanford.edu"))
        assert all(digest is None or len(digest) == 64 for digest in part["files"].values())
    assert card.options.keys().isdisjoint({f for f in vars(card) if f != "options"})
    assert isinstance(card, DataCard)
