"""Prepared files that are damaged, half written, killed over, or have no room."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def same(first: Dataset, second: Dataset) -> bool:
    tensors = second.store.tensors()
    return (
        first.fingerprint == second.fingerprint
        and (first.spec, first.statistics) == (second.spec, second.statistics)
        and first.store.tensors().keys() == tensors.keys()
        and all(torch.equal(value, tensors[name]) for name, value in first.store.tensors().items())
        and all(torch.equal(a, b) for a, b in zip(first.split, second.split, strict=True))
    )


def test_no_flipped_byte_anywhere_in_the_file_gives_other_data(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred bytes of the pickle in it, and sixty of all others."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    good = read(toy)
    path, content = cached_file(toy), cached_file(toy).read_bytes()
    start = content.index(b"data.pkl")
    place = random.Random(0)
    positions = place.sample(range(start, start + 1500), 200)
    positions += place.sample(range(len(content)), 60)
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << place.randrange(8)
        path.unlink()  # another inode: the one before is still mapped
        path.write_bytes(damaged)
        assert same(read(toy), good), position
    assert 50 < toy.times_prepared < len(positions)  # some bytes are only padding


@pytest.mark.parametrize("length", [0, 1, 100, 1000, -1])
def test_a_shortened_file_is_made_anew(toy: Any, length: int) -> None:
    good = read(toy)
    path, content = cached_file(toy), cached_file(toy).read_bytes()
    path.unlink()
    path.write_bytes(content[:length])
    assert same(read(toy), good)
    assert toy.times_prepared == 2


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {path!r})
from gbench.data.load import load
from gbench.data.spec import DataCard
load(DataCard(**{card!r}), Path({data_dir!r}), Path({cache_dir!r}))
print("ready")
"""


def script(toy: Any) -> str:
    return CHILD.format(
        path=str(toy.module.parent),
        card=vars(toy.card()),
        data_dir=str(toy.data_dir),
        cache_dir=str(toy.cache_dir),
    )


def test_a_process_killed_while_it_prepares_leaves_no_lock_and_no_rest(
    toy: Any, wait_until: Any
) -> None:
    wait = 'import time; time.sleep(0 if Path(os.environ["TOY_LOG"] + ".go").exists() else 1e6)'
    toy.set_code(toy.module.read_text().replace("rows =", f"{wait}\n    rows =", 1))
    process = subprocess.Popen([sys.executable, "-c", script(toy)])
    wait_until(lambda: toy.times_prepared, process)
    path = cache.path_of(toy.card(), toy.cache_dir)
    half = path.with_name(f".{path.name}.{process.pid}.part")
    half.write_bytes(b"what it would have left a moment later")
    process.send_signal(signal.SIGKILL)
    process.wait()
    toy.log.with_name(f"{toy.log.name}.go").touch()
    assert read(toy).statistics["num_graphs"] == 6
    assert toy.times_prepared == 2
    assert not half.exists()


def test_processes_that_prepare_at_once_all_end_right_and_prepare_once(toy: Any) -> None:
    code = toy.module.read_text()
    toy.set_code(code.replace("rows =", "import time; time.sleep(1)\n    rows =", 1))
    processes = [
        subprocess.Popen([sys.executable, "-c", script(toy)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in processes] == ["ready\n"] * 2
    assert toy.times_prepared == 1


def test_no_room_for_the_prepared_file(toy: Any) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    done = subprocess.run(
        [sys.executable, "-B", "-c", limit + script(toy)], capture_output=True, text=True
    )
    assert "UserError: cannot write" in done.stderr and "GBENCH_CACHE" in done.stderr, done.stderr
    left = [path.suffix for path in toy.cache_dir.rglob("*") if path.is_file()]
    assert set(left) <= {".lock"}
    assert read(toy).statistics["num_graphs"] == 6


def test_a_derived_file_says_what_it_is(toy: Any) -> None:
    read(toy, scale=2.0)
    about = json.loads(cached_file(toy).with_suffix(".json").read_text())
    assert about["what"] == "prepared scale=2.0"


def test_wrong_statistics_are_told_before_anything_is_kept(toy: Any) -> None:
    with pytest.raises(UserError, match="should have num_nodes = 19, but the raw files give 18"):
        read(toy, statistics={"num_nodes": 19})
    assert list(toy.cache_dir.rglob("*.pt")) == []
