"""What a config says of the code of the user's own that its run executes: its key `code`.

    code:
      sources: {nodes.py: SHA-256, layers/gat.py: SHA-256}   by place, see closure.py
      files: {model.teacher: SHA-256}     that settings name, by the setting
      packages: {torch-geometric: 2.8.1}  that a `_target_` outside gbench lies in
      beside: {mylogger.py: SHA-256}      that only the logger executes, or trainer.also
      places: {model.teacher: /home/me/logits.pt}   where the files lay

All but the last two count in the run's identity. The digests are of the bytes: an edited comment is
another version too. A run of packaged classes alone has no such key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from gbench.errors import UserError
from gbench.metrics import is_dotted
from gbench.own_code.closure import closure, find

Code = dict[str, dict[str, str]]
_COUNTED = ("model", "data", "transform", "encoding", "batching", "optim", "predictor", "trainer")
# settings that may name a class or function of the user's own, as my_module.Lion
_NAMING = ("optim.optimizer", "optim.schedule", "trainer.stop", "data.metric", "data.loss")


def stated(config: Mapping[str, Any], folders: Sequence[Path], facts: Collection[str]) -> Code:
    """The code of a composed config; empty if all of it is gbench's own.

    `facts` are the keys of a dataset that stand on its card: they name no files of its loader.
    """
    sections = _sections(config)
    counted = closure([*_targets(sections), *_named_modules(sections, folders)], folders)
    watching = [*_targets({"logger": config["logger"]}), *config.get("trainer", {}).get("also", ())]
    logger = closure(filter(is_dotted, watching), folders)
    files = named_files(config, folders, facts)
    code = {
        "sources": {place: digest(path) for place, path in sorted(counted.sources.items())},
        "files": {key: digest(path) for key, path in files.items()},
        "packages": versions(counted.targets),
        "beside": {
            place: digest(path)
            for place, path in sorted(logger.sources.items())
            if place not in counted.sources
        },
        "places": {key: str(path.absolute()) for key, path in files.items()},
    }
    return {name: part for name, part in code.items() if part}


def has_own_code(config: Mapping[str, Any]) -> bool:
    """Whether a run executed classes outside gbench, whether or not their code was kept."""
    return bool(own_names(_sections(config)))


def own_names(config: Mapping[str, Any]) -> list[str]:
    """The classes and functions outside gbench that a config names."""
    return [name for name in _targets(config) if _is_own(name)]


def judged_alike(configs: Iterable[Mapping[str, Any]], metric: str) -> bool:
    """Whether runs computed a metric of `trainer.also` by the same code, as far as they say."""
    codes = [config.get("code", {}) for config in configs] if is_dotted(metric) else []
    beside = {place for code in codes for place in code.get("beside", {})}
    own = metric.partition(".")[0]  # its module, which a model may import as well
    found: dict[str, str] = {}
    for code in codes:
        for place, said in {**code.get("sources", {}), **code.get("beside", {})}.items():
            is_its = place in beside or place.partition("/")[0] in (own, f"{own}.py")
            if is_its and found.setdefault(place, said) != said:
                return False
    return True


def source_digest(target: str, folders: Sequence[Path]) -> str:
    """One hash of all code outside gbench that a loader or an encoding executes; "" for none."""
    found = closure([target], folders)
    if not found.sources and not found.targets:
        return ""
    facts = {place: digest(path) for place, path in sorted(found.sources.items())}
    return hashlib.sha256(repr((facts, versions(found.targets))).encode()).hexdigest()


def imported_versions(config: Mapping[str, Any], folders: Sequence[Path]) -> dict[str, str]:
    """The versions of all installed packages that the user's own code imports, for the record."""
    if "code" not in config:
        return {}
    return versions(closure(own_names(_sections(config)), folders).installed)


def named_files(
    config: Mapping[str, Any], folders: Sequence[Path], facts: Collection[str]
) -> dict[str, Path]:
    """The files that settings of the user's own classes name, by the setting: model.teacher.

    A dataset's facts are left out: its raw files are told apart by its fingerprint.
    """
    found = {}
    for name, section in _sections(config).items():
        loader = {"_target_": section.get("_target_", "gbench.")}  # a metric reads no files
        if own_names({name: loader if name == "data" else section}):
            options = {k: v for k, v in section.items() if name != "data" or k not in facts}
            for key, text in _texts(options, name):
                path = located(text, folders)
                if path is not None and not key.endswith(("._target_", ".name")):
                    found[key] = path
    return found


def located(text: str, folders: Sequence[Path]) -> Path | None:
    """The file that a setting names: from the current folder, else from one of the user's."""
    if not text or len(text) > 4096 or "\0" in text:
        return None
    try:
        path = Path(text).expanduser()
        return next((base / path for base in (Path(), *folders) if (base / path).is_file()), None)
    except (OSError, RuntimeError, ValueError):  # no name that a file can have, or ~nobody
        return None


def with_contents(options: Mapping[str, Any], folders: Sequence[Path]) -> dict[str, Any]:
    """Options of a loader or an encoding, with the content of each file in place of its path."""
    files = ((key, located(text, folders)) for key, text in _texts(options, ""))
    return with_digests(options, {key: digest(path) for key, path in files if path is not None})


def with_digests(settings: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    """Settings, with `name of the file@digest` for each path of which a digest is given."""

    def told(value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            return {name: told(inner, f"{key}.{name}".strip(".")) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [told(inner, f"{key}.{place}") for place, inner in enumerate(value)]
        return f"{Path(value).name}@{digests[key]}" if key in digests else value

    if not digests:
        return dict(settings)
    replaced: dict[str, Any] = told(settings, "")
    return replaced


def digest(path: Path) -> str:
    """The SHA-256 of a file, read again only if it has changed on disk."""
    try:
        stat = path.stat()
        return _digest(path, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
    except OSError as error:
        raise UserError(f"{path}, which the run needs: {error.strerror}") from error


@lru_cache(maxsize=4096)
def _digest(path: Path, *stat: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(modules: Iterable[str]) -> dict[str, str]:
    """The versions of installed packages, given the modules that they are imported by."""
    if not (names_of := sorted(modules)):
        return {}
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    found = {}
    for module in names_of:
        try:
            found[module.replace("_", "-")] = version(module)
        except PackageNotFoundError:  # its package has another name
            names = packages_distributions().get(module, [])
            found |= {name: version(name) for name in names}
    return found


def _sections(config: Mapping[str, Any]) -> dict[str, Any]:
    sections = {name: config[name] for name in _COUNTED if name in config}
    sections["trainer"] = {k: v for k, v in sections.get("trainer", {}).items() if k != "also"}
    return sections


def _targets(sections: Mapping[str, Any]) -> Iterator[str]:
    """Every `_target_`, however deep, and what else names a class or function by its module."""
    for key, text in _texts(sections, ""):
        if key.rpartition(".")[2] == "_target_" or (key in _NAMING and "." in text):
            yield text


def _named_modules(sections: Mapping[str, Any], folders: Sequence[Path]) -> Iterator[str]:
    """Other settings that name something in a module of the user's, as `activation: acts.swish`."""
    for _, text in _texts(sections, ""):
        module, dot, name = text.partition(".")
        if dot and module.isidentifier() and name.replace(".", "").isidentifier():
            file, _ = find(module, folders)
            if file is not None:
                yield text


def _is_own(target: str) -> bool:
    return target.partition(".")[0] != "gbench"


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every text below a value, with the dotted keys that lead to it."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, f"{key}.{name}".strip("."))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _texts(inner, f"{key}.{place}")
