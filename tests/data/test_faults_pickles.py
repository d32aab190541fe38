"""Files that would run code if they were believed: every reader of gbench refuses them."""

from __future__ import annotations

import ast
import gzip
import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gbench
from gbench.choices import choices
from gbench.data.load import _source as read_source
from gbench.data.load import load
from gbench.data.loaders.pickles import read_torch
from gbench.data.manage import card_of
from gbench.data.spec import DataCard
from gbench.errors import UserError

PACKAGE = Path(gbench.__file__).parent
MODULES = sorted({path.resolve() for path in PACKAGE.rglob("*.py")})
RUN_CODE = {
    "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle",
}  # fmt: skip


class Attack:
    """What makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


class Program(torch.nn.Module):
    """What writes a file when torch.jit loads it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, str, bool]:
        return (self.weight, self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, str, bool]) -> None:
        self.weight = state[0]
        self.path = state[1]
        self.training = state[2]
        torch.save(state[0], state[1])


def keyword(call: ast.Call, name: str) -> object:
    found = [k.value for k in call.keywords if k.arg == name]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


def dangers(tree: ast.AST) -> list[str]:
    """The calls in a module that may run what a file says."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.split(".")[0] for alias in node.names}
            names |= {(getattr(node, "module", None) or "").split(".")[0]}
            found += [f"import {name}" for name in names & RUN_CODE]
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        owner, _, name = called.rpartition(".")
        if (
            (owner == "torch" and name == "load" and keyword(node, "weights_only") is not True)
            or (called in ("np.load", "numpy.load") and keyword(node, "allow_pickle") is not False)
            or (name in ("load", "loads", "Unpickler") and owner == "pickle")
            or (name == "read_pickle" and owner in ("pandas", "pd"))
            or called in ("eval", "exec", "torch.jit.load", "torch.hub.load")
            or (called == "yaml.load" and "loader" not in ast.unparse(node).lower())
        ):  # fmt: skip
            found.append(ast.unparse(node))
    return found


# the restricted reader itself, and a socket between two processes of one sweep
TRUSTED = ("pickles.py", "worker.py")


def test_no_module_reads_files_in_a_way_that_runs_code() -> None:
    faults = {
        str(path): found
        for path in MODULES
        if (found := dangers(ast.parse(path.read_text()))) and path.name not in TRUSTED
    }
    assert faults == {}
    assert len(MODULES) > 60


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pickle.load(file)",
        "import joblib",
        "eval(text)",
    ],
)
def test_the_search_finds_what_it_is_for(line: str) -> None:
    assert dangers(ast.parse(line))


def poisoned(name: str, target: Path) -> bytes:
    """A file of a raw file's kind that makes `target` if its pickle is believed."""
    attack, buffer = Attack(target), io.BytesIO()
    if name.endswith(".pt"):
        torch.save([attack], buffer)
    elif name.endswith(".npz"):
        arrays = np.empty(1, dtype=object)
        arrays[0] = attack
        keys = ("node_features", "attr_data", "train_mask", "labels", "x", "edges")
        np.savez(buffer, **dict.fromkeys(keys, arrays))
    else:
        content = pickle.dumps(attack)
        return gzip.compress(content) if name.endswith(".gz") else content
    return buffer.getvalue()


def with_files() -> list[str]:
    cards = {name: path for name, path in choices("data").items() if name not in ("tu", "folder")}
    return [name for name in cards if card_of(name).folder]


@pytest.mark.parametrize("name", with_files())
def test_no_loader_believes_a_pickle(name: str, tmp_path: Path) -> None:
    target, card = tmp_path / "made-by-a-file", card_of(name)
    for part in card.download:
        for file in part["files"]:
            path = tmp_path / "raw" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(poisoned(file, target))
    with pytest.raises(Exception) as refusal:
        read_source(card, tmp_path / "raw")
    assert not isinstance(refusal.value, NameError | ImportError | AttributeError)
    assert not target.exists()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "ending"), [("cora", ""), ("exp", ".pkl"), ("zinc", "train.pickle")]
)
def test_one_poisoned_file_among_the_real_ones(
    name: str, ending: str, data_dir: Path, tmp_path: Path
) -> None:
    from gbench.data.files import named

    card = named.at_hand(card_of(name), data_dir)
    names = [file for file in named.files(card) if file.endswith(ending)]
    target, refused = tmp_path / "made-by-a-file", {}
    for i, poison in enumerate(names):
        folder = tmp_path / str(i)
        for file in named.files(card):
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if file == poison:
                path.write_bytes(poisoned(file, target))
            else:
                path.symlink_to(data_dir / card.folder / file)
        try:
            read_source(card, folder)
        except (UserError, ValueError) as refusal:
            refused[poison] = str(refusal)
        assert not target.exists()
    assert len(names) - len(refused) <= (name == "cora")  # ind.cora.x is part of allx, and not read
    assert all("not data" in text or "can't decode" in text for text in refused.values())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_program_in_a_torch_file_does_not_run(tmp_path: Path) -> None:
    target, file = tmp_path / "written-by-the-program", tmp_path / "data.pt"
    torch.jit.script(Program(str(target))).save(str(file))
    with pytest.raises(UserError, match="is a TorchScript program, not data"):
        read_torch(file)
    assert not target.exists()
    torch.jit.load(str(file))
    assert target.exists()  # it would have run


def test_a_poisoned_prepared_file_is_made_anew(toy: Any, tmp_path: Path) -> None:
    card: DataCard = toy.card()
    good = load(card, toy.data_dir, toy.cache_dir)
    (path,) = (toy.cache_dir / "data" / "toy").glob("*.pt")
    target = tmp_path / "made-by-the-cache"
    path.write_bytes(poisoned("x.pt", target))
    assert load(card, toy.data_dir, toy.cache_dir).fingerprint == good.fingerprint
    assert not target.exists() and toy.times_prepared == 2
