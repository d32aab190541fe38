"""Raw files stay as they are."""

from __future__ import annotations

from pathlib import Path

from gbench.contracts.contract import BrokenError, Contract, NotApplicableError
from gbench.contracts.loaders.subject import Loader
from gbench.data.files.named import digest


def check(loader: Loader) -> None:
    folder = loader.folder
    if folder is None:
        raise NotApplicableError("it reads no files: its YAML names no folder")
    before = _state(folder)
    loader.load(seed=2)
    after = _state(folder)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    if changed:
        raise BrokenError(f"it changes {', '.join(changed[:3])} in {folder}")


def _state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): digest(path) for path in folder.rglob("*") if path.is_file()
    }


CONTRACT = Contract(
    "untouched",
    "the folder of raw files stays as it is",
    "raw files that change are another dataset, and a read-only folder is an error",
    "files that the loader writes: gbench keeps what is prepared in its own cache",
    check,
    ("sound",),
)
