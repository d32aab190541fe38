"""Derived files are made again when the code that made them changes, and when no other does."""

from __future__ import annotations

import importlib
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from gbench.choices import choices, read_yaml
from gbench.config.compose import compose
from gbench.data import manage
from gbench.data.encodings.encode import encoded
from gbench.data.encodings.parts import options_of
from gbench.data.files import cache, code
from gbench.data.files.code import NO_RESULT, ROOT, code_of, modules
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.own_code import importing


def targets(group: str) -> list[str]:
    """The functions that the packaged choices of a group name."""
    stated = (read_yaml(path) for path in choices(group).values())
    return sorted({values["_target_"] for values in stated if "_target_" in values})


ENCODINGS, LOADERS = targets("encoding"), targets("data")
CUTTERS = ["gbench.data.patches.metis.assign", "gbench.data.big.kway.metis"]
ALL = [*ENCODINGS, *LOADERS, *CUTTERS]
LAPLACIAN = "gbench.data.encodings.laplacian.eigenvectors"
EIGENPAIRS = "gbench.data.encodings.eigenpairs.eigenpairs"
RANDOM_WALK = "gbench.data.encodings.random_walk.return_probabilities"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of the package, to be edited."""
    root = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "gbench", root / "gbench", ignore=lambda _, names: [
        name for name in names if name in ("conf", "__pycache__")
    ])  # fmt: skip
    return root


def edit(path: Path, text: str = "\nEDITED = 1\n") -> Callable[[], None]:
    """Add to a file; the function that is returned takes that back."""
    before = path.read_bytes() if path.exists() else None
    path.write_bytes((before or b"") + text.encode())
    return path.unlink if before is None else lambda: path.write_bytes(before) and None


def keys(root: Path) -> dict[str, str]:
    return {target: code_of(target, root) for target in ALL}


def test_a_copy_has_the_keys_of_the_package(copy: Path) -> None:
    assert keys(copy) == {target: code_of(target) for target in ALL}


@pytest.mark.parametrize(
    "new",
    ["data/encodings/degree2.py", "data/loaders/mine.py", "kernels/new.py", "kernels/cpu/new.py",
     "models/new.py", "data/new.py"],
)  # fmt: skip
def test_a_new_file_beside_changes_no_key(copy: Path, new: str) -> None:
    before = keys(copy)
    back = edit(copy / "gbench" / new, "from gbench.kernels.csr import CSR\n")
    assert keys(copy) == before
    back()


@pytest.mark.parametrize(
    ("helper", "changed"),
    [
        ("kernels/csr.py", {*ENCODINGS, "gbench.data.big.kway.metis"}),
        ("parallel.py", {*ENCODINGS, "gbench.data.loaders.peptides.load"}),
        ("kernels/cpu/spmm.py", {RANDOM_WALK}),  # found by the operation's name alone
        ("data/encodings/krylov.py", {LAPLACIAN, EIGENPAIRS}),
        ("data/encodings/transport.py", {"gbench.data.encodings.curvature.profile"}),
        ("data/loaders/mutag_order.py", {"gbench.data.loaders.tu.load"}),
        ("data/loaders/csbm.py", {"gbench.data.loaders.csbm.load"}),
        ("data/source.py", {*LOADERS}),
        ("kernels/__init__.py", set()),
        ("kernels/gine_aggregate.py", set()),
        ("train/task.py", set()),
        ("errors.py", set()),
    ],
)
def test_an_edited_helper_changes_the_keys_of_what_uses_it(
    copy: Path, helper: str, changed: set[str]
) -> None:
    before = keys(copy)
    back = edit(copy / "gbench" / helper)
    after = keys(copy)
    back()
    assert {target for target in ALL if after[target] != before[target]} == changed


def test_imports_for_types_alone_are_not_followed(tmp_path: Path) -> None:
    package = tmp_path / "gbench"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "far.py").write_text("")
    (package / "near.py").write_text("")
    (package / "made.py").write_text(
        "from typing import TYPE_CHECKING\nfrom gbench.near import here\n"
        "if TYPE_CHECKING:\n    from gbench.far import there\nelse:\n    pass\n"
    )
    assert {*modules(["gbench.made.function"], tmp_path)} == {"gbench.made", "gbench.near"}
    before = code_of("gbench.made.function", tmp_path)
    edit(package / "far.py")
    assert code_of("gbench.made.function", tmp_path) == before
    edit(package / "near.py")
    assert code_of("gbench.made.function", tmp_path) != before


def executed(run: Callable[[], Any]) -> set[str]:
    """The modules of gbench of which a line was executed, in any thread."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, arg: object) -> None:
        files.add(frame.f_code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    root = ROOT.resolve()
    inside = (Path(file).resolve() for file in files if file.startswith("/"))
    dotted = {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for path in inside
        if path.is_relative_to(root)
    }
    # kernels lie beside gbench, and gbench/kernels is a link to them
    named = {f"gbench.{name}" if name.startswith("kernels.") else name for name in dotted}
    asked_by_import = {"gbench.own_code.importing"}
    return {name for name in named if name.startswith("gbench.")} - NO_RESULT - asked_by_import


@pytest.mark.parametrize("target", ENCODINGS)
def test_all_that_an_encoding_executes_is_in_its_key(target: str, tmp_path: Path) -> None:
    card = DataCard.from_config(compose(["data=csbm", "data.num_nodes=300"])["data"])
    graph, node_ptr = load(card, tmp_path, tmp_path).store.union()
    (stated,) = (
        options_of(values)
        for values in map(read_yaml, choices("encoding").values())
        if values.get("_target_") == target
    )
    module, _, name = target.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    seen = executed(lambda: function(graph, node_ptr, **stated))
    assert module in seen
    assert seen <= {*modules([target])}


@pytest.mark.parametrize("name", ["csbm", "csl", "digits", "tree-neighbours-match"])
def test_all_that_a_loader_executes_is_in_its_key(name: str) -> None:
    stated = compose([f"data={name}"])["data"]
    card = DataCard.from_config(stated)
    module, _, function = card._target_.rpartition(".")
    options = {**card.options, **({"split": card.split} if card.splits else {})}
    call = getattr(importlib.import_module(module), function)
    seen = executed(lambda: call(Path(), **options))
    assert module in seen
    # what is loaded at first use may be a library's, whoever imports it
    assert seen - {"gbench.deferred"} <= {*modules([card._target_])}


def test_the_users_own_code_counts_with_what_it_imports_of_gbench(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing._finder, "folders", [tmp_path])
    (tmp_path / "mine_keys.py").write_text(
        "import mine_helper\nfrom gbench.data.loaders.edges import coalesce\n"
    )
    (tmp_path / "mine_helper.py").write_text("")
    before = code_of("mine_keys.load", copy)
    (tmp_path / "mine_other.py").write_text("")
    assert code_of("mine_keys.load", copy) == before
    back = edit(copy / "gbench" / "data" / "loaders" / "edges.py")
    assert code_of("mine_keys.load", copy) != before
    back()
    assert code_of("mine_keys.load", copy) == before
    edit(tmp_path / "mine_helper.py")
    assert code_of("mine_keys.load", copy) != before


@pytest.mark.parametrize(
    "words",
    [
        "from gbench import kernels",
        "import gbench.kernels",
        "from gbench.kernels import *",
        "def load(path):\n    from gbench.kernels import spmm",
        "import importlib\nspmm = importlib.import_module('gbench.kernels').spmm",
    ],
)
def test_a_package_of_gbench_may_be_imported_in_any_way(
    words: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing._finder, "folders", [tmp_path])
    (tmp_path / "own_multiply.py").write_text(words)
    before = code_of("own_multiply.load", copy)
    back = edit(copy / "gbench" / "kernels" / "cpu" / "spmm.py")
    assert code_of("own_multiply.load", copy) != before
    back()


@pytest.mark.parametrize("target", ["gbench.data.loaders.nothing.load", "no_such_module.load"])
def test_a_target_without_a_module_is_refused(target: str) -> None:
    with pytest.raises(UserError, match=f"there is no module for the loader '{target}'"):
        code_of(target)


def test_the_list_tells_superseded_files_from_those_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose(["data=csbm", "data.num_nodes=60", "encoding=rwse"])
    card = DataCard.from_config(config["data"])

    def lines() -> list[str]:
        encoded(load(card, tmp_path, tmp_path), config["encoding"], tmp_path)
        table = manage.listing([], tmp_path, tmp_path).splitlines()
        return [line.rsplit("  ", 1)[0].strip() for line in table if line.startswith("  ")]

    (prepared, rwse) = sorted(lines())
    assert "superseded" not in prepared + rwse
    original = code.code_of
    monkeypatch.setattr(
        cache, "code_of", lambda target: original(target) + ("*" if "encodings" in target else "")
    )
    note = ", superseded: no run reads it"
    assert sorted(lines()) == sorted([prepared, rwse, rwse + note])
    # other code of the loader that makes the same tensors: the encoding still is that of the data
    monkeypatch.setattr(cache, "code_of", lambda target: original(target) + "*")
    assert sorted(lines()) == sorted([prepared, prepared + note, rwse, rwse + note])
    for path in cache.folder_of("csbm", tmp_path).glob("*.json"):
        path.write_text('{"what": "rwse steps=20"}')  # as an earlier version wrote it
    assert all(line.endswith(note) for line in lines())
    assert torch.is_tensor(load(card, tmp_path, tmp_path).store.x)
