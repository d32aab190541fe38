"""Where prepared datasets lie, when they are still good, and who may write them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.folders import written_whole
from gbench.locks import take
from gbench.own_code.importing import own_places
from gbench.own_code.stated import source_digest, with_contents

FORMAT = 4  # of the packed tensors; raise it when store.py or load.py lay them out differently


def path_of(card: DataCard, cache_dir: Path) -> Path:
    """The file of this dataset with these options, made by this version of its loader's code."""
    facts = {
        "format": FORMAT,
        "loader": card._target_,
        "code": source_hash(card._target_),
        "level": card.level,
        "labels": card.labels,
        "num_folds": card.num_folds,
        "split": card.split if card.splits else "",
        "normalize_features": card.normalize_features,
        "folder": card.folder,
        "unlabelled": card.unlabelled,
        "options": options_in_key(card._target_, card.options),
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    return folder_of(card.name, cache_dir) / f"{key[:16]}.pt"


def folder_of(name: str, cache_dir: Path) -> Path:
    """Everything derived from one dataset lies here."""
    return cache_dir / "data" / name


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time prepare `path`; the others wait and then find it made.

    A process that dies lets go of the lock, and the next one removes what it left half written.
    Raises UserError when the folder cannot be written.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("a")
    with lock:
        take(lock, wait=True)
        for left in path.parent.glob(f".{path.name}.*.part"):
            left.unlink(missing_ok=True)
        yield


def describe(path: Path, what: str, **more: Any) -> None:
    """Say in a small file beside a derived one what it is, for `gbench data list` and `info`."""
    with written_whole(path.with_suffix(".json")) as file:
        file.write(json.dumps({"what": what, **more}).encode())


def description(path: Path) -> str:
    """What was said of a derived file, or its name."""
    return str(described(path).get("what", path.name))


def described(path: Path) -> dict[str, Any]:
    """All that was said of a derived file."""
    try:
        said = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a disk that is full, read-only or not there into one message."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {folder} ({error.strerror}): "
            "choose another folder with cache_dir= or GBENCH_CACHE"
        ) from error


def options_in_key(target: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of a loader or an encoding; of the user's own with the content of its files."""
    return options if target.startswith("gbench.") else with_contents(options, own_places())


def source_hash(target: str) -> str:
    """Hash the code of a loader or an encoding: what it made is made again when it changes.

    Of gbench's own that is all of its module's folder, since these share their readers; of the
    user's own its module and all that this imports.
    """
    code = (
        _own_folder(target) if target.startswith("gbench.") else source_digest(target, own_places())
    )
    if not code:
        raise UserError(
            f"there is no module for the loader '{target}': _target_ must name a function, "
            "as in my_module.load, and the module must be importable"
        )
    return code


def _own_folder(target: str) -> str:
    try:
        spec = importlib.util.find_spec(target.rpartition(".")[0])
    except (ModuleNotFoundError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return ""
    files = sorted(Path(spec.origin).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
