"""An edit in a file that kernels import reaches all of them, though numba looks at their own."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numba
import pytest
import torch

from gbench.kernels.cpu import cache, rows

HERE = Path(rows.__file__).parent
FILES = sorted(path.name for path in HERE.glob("*.py"))
NAMES = ("draws", "dropout")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the kernels' sources, in which kernels find what they import."""
    folder = tmp_path / "gbench" / "kernels" / "cpu"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache, "HERE", folder)
    monkeypatch.setattr(cache, "PACKAGE", folder.parents[1])
    # Python takes a file of the same size and date for the one that it has compiled
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    forget()
    yield folder
    forget()


def forget() -> None:
    """As in a process that begins."""
    cache.folder_of.cache_clear()
    cache.sources.cache_clear()


def dropped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[bool], Any]:
    """What the dropout of this folder drops, and how numba came by it."""
    forget()
    for name in NAMES:
        full = f"gbench.kernels.cpu.{name}"
        spec = spec_from_file_location(full, folder / f"{name}.py")
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, full, module)
        spec.loader.exec_module(module)
    out = module.dropout(torch.ones(64), torch.tensor(3), 0.5)
    return (out == 0).tolist(), module.drop_each.stats


def test_an_edited_helper_is_compiled_into_what_imports_it(copy, monkeypatch) -> None:
    first, stats = dropped(copy, monkeypatch)
    assert sum(stats.cache_misses.values()) == 1
    again, stats = dropped(copy, monkeypatch)
    assert again == first
    assert sum(stats.cache_hits.values()) == 1
    helper = copy / "draws.py"
    before = helper.stat()
    helper.write_text(helper.read_text().replace("0x7FEB352D", "0x7FEB352F"))
    os.utime(helper, ns=(before.st_atime_ns, before.st_mtime_ns))  # of the same size and date
    changed, stats = dropped(copy, monkeypatch)
    assert changed != first
    assert sum(stats.cache_misses.values()) == 1


def imported_by(name: str) -> set[str]:
    text = (HERE / name).read_text()
    return {other for other in FILES if f"from gbench.kernels.cpu.{other[:-3]} import" in text}


@pytest.mark.parametrize("edited", FILES)
def test_an_edit_changes_the_folders_of_those_that_import_it(edited: str, copy: Path) -> None:
    before = {name: cache.folder_of(copy / name) for name in FILES}
    with (copy / edited).open("a") as file:
        file.write("# edited\n")
    forget()
    changed = {name for name in FILES if cache.folder_of(copy / name) != before[name]}
    reached = {edited}
    while more := {name for name in FILES if imported_by(name) & reached} - reached:
        reached |= more
    assert changed == reached


def test_every_kernel_is_kept_in_the_folder_of_its_sources() -> None:
    for name in FILES:
        module = importlib.import_module(
            f"gbench.kernels.cpu.{name[:-3]}".removesuffix(".__init__")
        )
        for function in vars(module).values():
            if hasattr(function, "py_func"):
                place = cache.folder_of(Path(function.py_func.__code__.co_filename))
                assert place in Path(function.stats.cache_path).parents
    assert os.environ.get("NUMBA_CACHE_DIR", "") == numba.config.CACHE_DIR


def test_a_chosen_folder_is_taken_and_a_read_only_one_left_alone(copy, monkeypatch) -> None:
    rows = copy / "rows.py"
    assert cache.folder_of(rows).parent == copy / "__pycache__"
    assert cache.folder_of(rows, "/chosen").parent == Path("/chosen")
    forget()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert cache.folder_of(rows).parent == Path(os.environ["GBENCH_CACHE"]) / "numba"


def test_old_folders_go_when_another_takes_their_place(copy: Path) -> None:
    place = copy / "__pycache__"
    for name, days in (("rows-" + "0" * 16, 31), ("rows-" + "1" * 16, 29), ("rows-of", 99)):
        (place / name / "below").mkdir(parents=True)
        then = (place / name).stat().st_mtime - 86400 * days
        os.utime(place / name / "below", (then, then))
    cache.folder_of(copy / "rows.py")
    assert {path.name for path in place.iterdir()} == {"rows-" + "1" * 16, "rows-of"}
