"""What a run's folder keeps of what it executes: `code/`, and in `files/` what settings name.

A run executes what its config states, whatever became of the user's folder since: the code that was
composed is the code that runs, is tested, and is found again by `gbench eval`.
"""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gbench.errors import UserError
from gbench.folders import near, written_whole
from gbench.own_code import importing
from gbench.own_code.stated import digest, has_own_code, located, versions

CODE, FILES = "code", "files"  # in a run's folder
Config = Mapping[str, Any]


class Change(NamedTuple):
    """Something that is not what a run was composed with."""

    name: str  # of a file or a package, as the user knows it
    what: str  # has changed, is gone, is VERSION

    def __str__(self) -> str:
        return f"{self.name} {self.what}"


def keep(config: Config, folder: Path, like: Path | None = None) -> None:
    """Copy the code that the config states into the run's folder, where it is not there already.

    A file that another run keeps too is linked from there: from `like`, or from one beside this.
    Raises UserError for what was edited since the config was composed, and where nothing can be
    written.
    """
    code = config.get("code", {})
    folders = _folders(config)
    for place, wanted in {**code.get("sources", {}), **code.get("beside", {})}.items():
        kept = folder / CODE / place
        if not _is(kept, wanted):
            _copy(_original(place, folders), kept, wanted, place)
    for key, wanted in code.get("files", {}).items():
        value = setting(config, key)
        kept = kept_file(folder, value, wanted)
        if not _is(kept, wanted):
            others = [like] if like is not None else _beside(folder, value, wanted)
            twins = (kept_file(other, value, wanted) for other in others)
            twin = next((path for path in twins if _is(path, wanted)), None)
            if twin is not None:
                _link(twin, kept)
            else:
                _copy(_place(config, key), kept, wanted, f"{key}={value}")


def keep_all(runs: Iterable[tuple[Config, Path]]) -> None:
    """`keep` for many runs, before the first of them begins; each big file is copied once."""
    like: dict[str, Path] = {}  # by the code
    for config, folder in runs:
        if "code" in config:
            code = json.dumps(config["code"], sort_keys=True)
            keep(config, folder, like.get(code))
            like.setdefault(code, folder)


def at_hand(config: Config, folder: Path) -> dict[str, Any]:
    """The config to build the run of this folder from, once Python finds the code that it states.

    A file that a setting names is taken from the folder where the original is not the same any
    more. Raises UserError as `keep` does.
    """
    if "code" not in config:  # gbench's own alone, or of a run from before code was kept
        gone = [place for place in config["config_dirs"] if not Path(place).is_dir()]
        if gone and has_own_code(config):
            raise UserError(f"{gone[0]}, where the run's own code lies, is not there: put it back")
        importing.use(config["config_dirs"])
        return dict(config)
    keep(config, folder)
    folders = _folders(config)
    importing.use(folders, folder / CODE)
    moved = {}
    for key, wanted in config["code"].get("files", {}).items():
        value = setting(config, key)
        path, here = _place(config, key), located(value, folders)
        if path is None or digest(path) != wanted:
            moved[key] = str(kept_file(folder, value, wanted).absolute())
        elif here is None or not here.samefile(path):  # the current folder is another one
            moved[key] = str(path)
    return with_settings(config, moved)


def changes(config: Config) -> list[Change]:
    """What has changed in the user's own folders since the config was composed.

    What is gone has not changed.
    """
    code, folders = config.get("code", {}), _folders(config)
    found = []
    for place, wanted in code.get("sources", {}).items():
        path = _original(place, folders)
        if path is not None and digest(path) != wanted:
            found.append(Change(near(path), "has changed"))
    for key, wanted in code.get("files", {}).items():
        path = _place(config, key)
        if path is not None and digest(path) != wanted:
            found.append(Change(f"{near(path)} ({key})", "has changed"))
    for package, wanted in code.get("packages", {}).items():
        here = versions([package.replace("-", "_")]).get(package)
        if here != wanted:
            found.append(Change(package, f"is {here or 'missing'} here, and was {wanted}"))
    return found


def differences(code: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """What two configs state differently of their code: by name, the digests or versions, or ""."""
    one, another = stated_parts(code), stated_parts(other)
    return {
        name: (one.get(name, ""), another.get(name, ""))
        for name in one | another
        if one.get(name) != another.get(name)
    }


def stated_parts(code: Mapping[str, Any]) -> dict[str, str]:
    """What counts of a config's `code`: the digest or version of each file, setting and package."""
    kinds = ("sources", "files", "packages")
    return {name: str(said) for kind in kinds for name, said in code.get(kind, {}).items()}


def setting(config: Config, key: str) -> str:
    """The value of a dotted setting, through lists too."""
    value: Any = config
    for part in key.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return str(value)


def kept_file(folder: Path, value: str, wanted: str) -> Path:
    """Where a run's folder keeps a file that a setting names."""
    return folder / FILES / wanted[:8] / Path(value).name


def _beside(folder: Path, value: str, wanted: str) -> list[Path]:
    """The runs beside this one that keep a file."""
    name = kept_file(Path(), value, wanted)
    found = folder.parent.glob(f"*/{name.parent}/{glob.escape(name.name)}")
    return [path.parents[len(name.parts) - 1] for path in found]


def _folders(config: Config) -> list[Path]:
    return [Path(folder) for folder in config["config_dirs"]]


def _place(config: Config, key: str) -> Path | None:
    """The user's own file that a setting named, if it is still there."""
    path = Path(config["code"]["places"][key])
    return path if path.is_file() else None


def _original(place: str, folders: Sequence[Path]) -> Path | None:
    """The user's own file: in a folder of --config-dir, or where Python finds its package."""
    return next((path for path in _candidates(place, folders) if path.is_file()), None)


def _candidates(place: str, folders: Sequence[Path]) -> Iterator[Path]:
    yield from (folder / place for folder in folders)
    top = place.split("/")[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is not None and spec.origin is not None:
        depth = 1 if spec.submodule_search_locations is not None else 0
        yield Path(spec.origin).parents[depth] / place


def _is(path: Path, wanted: str) -> bool:
    return path.is_file() and digest(path) == wanted


def _copy(path: Path | None, kept: Path, wanted: str, name: str) -> None:
    if path is None:
        raise UserError(
            f"{name} is gone, and {kept} is not as it was either: put it back, or begin a new run "
            "with gbench train"
        )
    try:
        found = hashlib.sha256()
        with path.open("rb") as source, written_whole(kept) as file:
            while part := source.read(1 << 20):
                found.update(part)
                file.write(part)
            if found.hexdigest() != wanted:
                raise UserError(
                    f"{near(path)} has changed since this run was composed: type gbench train "
                    "again, which is then a run of the new version"
                )
    except OSError as error:
        raise UserError(f"cannot copy {path} to {kept} ({error.strerror})") from error


def _link(twin: Path, kept: Path) -> None:
    """The same content under another run: a kept file is never written again."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(f".{kept.name}.{os.getpid()}.part")
    try:
        os.link(twin, part)
    except OSError:  # a file system without links
        shutil.copyfile(twin, part)
    part.replace(kept)


def with_settings(config: Config, values: Mapping[str, str]) -> dict[str, Any]:
    """A copy of the config with other values of dotted settings."""

    def replaced(value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            return {name: replaced(inner, f"{key}.{name}") for name, inner in value.items()}
        if isinstance(value, list):
            return [replaced(inner, f"{key}.{place}") for place, inner in enumerate(value)]
        return values.get(key, value)

    return {name: replaced(value, name) for name, value in config.items()}
