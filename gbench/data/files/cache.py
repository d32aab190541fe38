"""Where prepared datasets lie, when they are still good, and who may write them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gbench.data.files.code import code_of
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.folders import written_whole
from gbench.locks import take
from gbench.own_code.importing import own_places
from gbench.own_code.stated import with_contents

# What a file of each kind is laid out by; raise it when that is changed: store.py and load.py of
# the packed tensors, derived.py of the rest.
LAYOUTS = {"prepared": 5, "derived": 3}


def path_of(card: DataCard, cache_dir: Path) -> Path:
    """The file of this dataset with these options, made by this version of its loader's code."""
    facts = {
        "loader": card._target_,
        "made by": made_by("prepared", card._target_),
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


def made_by(kind: str, target: str) -> str:
    """The version of all code that lays a file out and that the function of a `_target_` executes.

    Raises UserError for a target whose module cannot be found.
    """
    return f"{LAYOUTS[kind]} {code_of(target)}"


def describe(path: Path, what: str, kind: str, target: str, fingerprint: str, **more: Any) -> None:
    """Say in a small file beside a derived one what it is, for `gbench data list` and `info`.

    `fingerprint` is of the dataset's tensors, which were made or from which it was made.
    """
    said = {"what": what, "kind": kind, "target": target, "made by": made_by(kind, target)}
    with written_whole(path.with_suffix(".json")) as file:
        file.write(json.dumps({**said, "fingerprint": fingerprint, **more}).encode())


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


def superseded(paths: Iterable[Path]) -> set[Path]:
    """Of all that was derived from a dataset the files that no run reads any more.

    Their code has changed, or they were made from a prepared file whose code has.
    """
    said = {path: described(path) for path in paths}
    current = {path: about for path, about in said.items() if _is_current(about)}
    data = {a.get("fingerprint") for a in current.values() if a.get("kind") == "prepared"}
    return {
        path
        for path in said
        if path not in current or (data and current[path].get("fingerprint") not in data)
    }


def _is_current(said: Mapping[str, Any]) -> bool:
    if not said:  # nobody knows
        return True
    try:
        return bool(said["made by"] == made_by(said["kind"], said["target"]))
    except KeyError:  # of a version that did not say so
        return False
    except UserError:  # code of the user's own that is elsewhere now
        return True


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
