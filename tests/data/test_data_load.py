"""When a dataset is prepared, when the prepared file serves, and what ends in one clear message."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from gbench.data.dataset import Dataset
from gbench.data.files import cache
from gbench.data.load import load
from gbench.errors import UserError


def read(toy: Any, **changes: Any) -> Dataset:
    return load(toy.card(**changes), toy.data_dir, toy.cache_dir)


def cached_file(toy: Any) -> Path:
    (path,) = (toy.cache_dir / "data" / "toy").glob("*.pt")
    return Path(path)


def test_a_prepared_dataset_is_the_same_dataset(toy: Any) -> None:
    first, second = read(toy), read(toy)
    assert toy.times_prepared == 1
    assert first.fingerprint == second.fingerprint
    assert first.spec == second.spec and first.statistics == second.statistics
    for name, tensor in first.store.tensors().items():
        assert torch.equal(tensor, second.store.tensors()[name]), name
    assert first.store.x[:2].tolist() == [[1.0, 3.0], [0.0, 0.0]]
    assert first.statistics == {
        "num_graphs": 6, "num_nodes": 18, "num_edges": 24, "num_features": 2, "num_classes": 2,
        "num_train": 2, "num_valid": 2, "num_test": 2,
    }  # fmt: skip


def test_folds_share_one_file(toy: Any) -> None:
    assert [part.tolist() for part in read(toy, fold=0).split] == [[0, 1], [2, 3], [4, 5]]
    assert [part.tolist() for part in read(toy, fold=1).split] == [[5, 4], [3, 2], [1, 0]]
    assert toy.times_prepared == 1
    assert read(toy, fold=0).fingerprint == read(toy, fold=1).fingerprint


def test_features_are_divided_by_their_row_sums(toy: Any) -> None:
    x = read(toy, normalize_features=True).store.x
    expected = torch.tensor([[0.25, 0.75], [0.0, 0.0], [0.5, 0.5]]).repeat(6, 1)
    assert torch.equal(x, expected)


@pytest.mark.parametrize("change", [{"normalize_features": True}, {"scale": 2.0}])
def test_options_have_files_of_their_own(toy: Any, change: dict[str, Any]) -> None:
    plain, changed = read(toy), read(toy, **change)
    assert plain.fingerprint != changed.fingerprint
    assert read(toy).fingerprint == plain.fingerprint
    assert toy.times_prepared == 2


def test_what_only_describes_does_not_prepare_again(toy: Any) -> None:
    read(toy)
    read(toy, citation="somebody", split="renamed", statistics={"num_graphs": 6})
    assert toy.times_prepared == 1


def test_a_changed_loader_prepares_again(toy: Any) -> None:
    before = read(toy)
    toy.set_code(toy.module.read_text().replace("3 * row", "4 * row"))
    assert read(toy).fingerprint != before.fingerprint


def test_changed_raw_files_prepare_again(toy: Any) -> None:
    before = read(toy)
    toy.raw.write_text("1 2 3 4 5 7\n")
    os.utime(toy.raw, ns=(0, 0))
    after = read(toy)
    assert toy.times_prepared == 2 and after.fingerprint != before.fingerprint
    assert float(after.store.x[15, 0]) == 7.0
    toy.raw.write_text("1 2 3 4 5 6\n")
    assert read(toy).fingerprint == before.fingerprint


def test_raw_files_may_go_once_the_dataset_is_prepared(toy: Any) -> None:
    before = read(toy)
    toy.raw.unlink()
    assert read(toy).fingerprint == before.fingerprint
    toy.raw.parent.rmdir()
    assert read(toy).fingerprint == before.fingerprint
    assert toy.times_prepared == 1


def halve(file: IO[bytes], size: int) -> None:
    file.truncate(size // 2)


def empty(file: IO[bytes], size: int) -> None:
    file.truncate(0)


def overwrite(file: IO[bytes], size: int) -> None:
    file.write(b"\x80\x04." + bytes(range(256)))


@pytest.mark.parametrize("damage", [halve, empty, overwrite])
def test_a_damaged_file_is_made_anew(toy: Any, damage: Any) -> None:
    fingerprint = read(toy).fingerprint
    path = cached_file(toy)
    with path.open("r+b") as file:
        damage(file, path.stat().st_size)
    assert read(toy).fingerprint == fingerprint
    assert toy.times_prepared == 2
    assert read(toy).fingerprint == fingerprint
    assert toy.times_prepared == 2


@pytest.mark.parametrize("name", ["x", "y", "col", "in_degree", "ranges"])
def test_one_flipped_bit_is_noticed(toy: Any, name: str) -> None:
    fingerprint = read(toy).fingerprint
    path, content = cached_file(toy), cached_file(toy).read_bytes()
    tensor = torch.load(path, weights_only=True)["tensors"][name]
    start = content.index(tensor.numpy().tobytes())
    flipped = bytearray(content)
    flipped[start + 5] ^= 0x10
    path.write_bytes(flipped)
    dataset = read(toy)
    assert toy.times_prepared == 2
    assert dataset.fingerprint == fingerprint


def test_two_processes_prepare_once(toy: Any) -> None:
    slow = "import time; time.sleep(0.7)\n    rows ="
    toy.set_code(toy.module.read_text().replace("rows =", slow, 1))
    context = multiprocessing.get_context("fork")
    results = context.Queue()

    def work() -> None:
        torch.set_num_threads(1)
        results.put(read(toy).fingerprint)

    processes = [context.Process(target=work) for _ in range(3)]
    for process in processes:
        process.start()
    fingerprints = {results.get() for _ in processes}
    for process in processes:
        process.join()
    assert len(fingerprints) == 1
    assert toy.times_prepared == 1


def test_a_full_disk_is_told_and_leaves_nothing(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_then_full(value: object, file: IO[bytes]) -> None:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half_then_full)
        with pytest.raises(UserError, match=r"No space left on device.*cache_dir="):
            read(toy)
    files = list(toy.cache_dir.rglob("*"))
    assert [path for path in files if path.is_file() and path.suffix != ".lock"] == []
    assert read(toy).statistics["num_graphs"] == 6


def test_a_cache_folder_that_cannot_be_written(toy: Any) -> None:
    toy.cache_dir.write_text("a file, not a folder")
    with pytest.raises(UserError, match=r"cannot write .*cache.*GBENCH_CACHE"):
        read(toy)


@pytest.mark.parametrize("prepared_before", [False, True])
def test_sizes_that_are_not_the_published_ones(toy: Any, prepared_before: bool) -> None:
    if prepared_before:
        read(toy)
    with pytest.raises(UserError, match="should have num_edges = 25, but the raw files give 24"):
        read(toy, statistics={"num_graphs": 6, "num_edges": 25})
    with pytest.raises(UserError, match="no such number"):
        read(toy, statistics={"num_egdes": 24})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_target_": "toy_loader.laod"}, "toy_loader.py 'laod'"),
        ({"_target_": "no_such_module.load"}, "no module for the loader 'no_such_module.load'"),
        ({"_target_": "load"}, "no module for the loader 'load'"),
        ({"scael": 2.0}, "toy_loader.load: got an unexpected keyword argument 'scael'$"),
        ({"loss_option": {}}, "argument 'loss_option'. Did you mean the fact 'loss_options'"),
        ({"folder": "elsewhere", "download": []}, "needs the folder .*elsewhere"),
        ({"num_folds": 3}, "has 2 splits, but num_folds is 3"),
    ],
)
def test_what_a_user_may_get_wrong(toy: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(toy, **change)


def test_a_prepared_dataset_needs_torch_alone(toy: Any) -> None:
    read(toy)
    script = f"""
import sys
sys.path.insert(0, {str(toy.module.parent)!r})
from pathlib import Path
from gbench.data.load import load
from gbench.data.spec import DataCard
card = DataCard(**{vars(toy.card())!r})
load(card, Path({str(toy.data_dir)!r}), Path({str(toy.cache_dir)!r})).store
heavy = {{"torch_geometric", "ogb", "sklearn", "pandas", "rich", "scipy", "toy_loader", "hydra"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert toy.times_prepared == 1


def test_the_key_of_a_dataset_does_not_import_its_loader(toy: Any) -> None:
    cache.path_of(toy.card(), toy.cache_dir)
    assert "toy_loader" not in sys.modules
