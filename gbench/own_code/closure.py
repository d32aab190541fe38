"""Which files of the user's own a run executes: those of its `_target_`s, and what these import.

Nothing is executed: imports are read from the source, wherever they stand, in a function too, so
that a run's identity is known before it begins. Where a module computes what it imports, or changes
`sys.path`, every Python file of its folder counts.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import all_suffixes
from pathlib import Path

from gbench.errors import UserError
from gbench.own_code.imports import Imports, imports_of

# a run's folder or a study's: what is kept there is of other runs
_RUN = re.compile(r".+-[0-9a-f]{10}(-s\d+(-f\d+)?)?")

LONGEST = 200  # bytes of a name that a file can have beside its suffix


@dataclass
class Closure:
    """What is reached from some modules.

    The place of a file is its path below the folder that Python finds it from: `layers/gat.py` is
    the module `layers.gat`.
    """

    sources: dict[str, Path] = field(default_factory=dict)  # the user's own, by place
    installed: set[str] = field(default_factory=set)  # packages outside Python's own library
    targets: set[str] = field(default_factory=set)  # those of `installed` that a target lies in


def closure(targets: Iterable[str], folders: Sequence[Path]) -> Closure:
    """All that the dotted names reach; modules are looked for in `folders`, then as Python does.

    What cannot be found is left out: importing it will say so. Raises UserError where a module of
    the user's own has the name of one of Python's own library.
    """
    walk = _Walk(folders)
    for target in targets:
        walk.visit(target)
    walk.found.targets |= walk.found.installed
    walk.follow()
    return walk.found


def find(name: str, folders: Iterable[Path]) -> tuple[Path | None, list[Path]]:
    """A module's file, and the folders that its submodules are looked for in.

    As Python finds it: a package, a module, or else all folders of that name.
    """
    portions = []
    if not name.isidentifier() or len(name.encode(errors="replace")) > LONGEST:
        return None, []
    for folder in folders:
        for suffix in all_suffixes():
            package, module = folder / name / f"__init__{suffix}", folder / f"{name}{suffix}"
            if package.is_file():
                return package, [folder / name]
            if module.is_file():
                return module, []
        if (folder / name).is_dir():
            portions.append(folder / name)
    return None, portions


def is_installed(path: Path) -> bool:
    """Whether a file belongs to an installed package."""
    return bool({"site-packages", "dist-packages"} & {*path.parts})


class _Walk:
    """Goes from module to module; each file is read once."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders
        self.found = Closure()
        self.unread: list[tuple[str, Path]] = []

    def visit(self, dotted: str) -> None:
        """A module and the packages that it lies in; of `module.Class` the module."""
        parts = dotted.split(".")
        if not all(part.isidentifier() or part == "*" for part in parts):
            return
        file, inside = self._top(parts[0])
        for depth, part in enumerate(parts):
            if part == "*":  # from package import *
                for folder in inside:
                    for path in sorted(folder.glob("*.py")):
                        self._add("/".join([*parts[:depth], path.name]), path)
                return
            if depth:
                file, inside = find(part, inside)
            if file is not None:
                package = parts[: depth + 1] if file.parent in inside else parts[:depth]
                self._add("/".join([*package, file.name]), file)
            if not inside:
                return

    def follow(self) -> None:
        """Read what was found until nothing is new."""
        while self.unread:
            place, file = self.unread.pop()
            package = place.split("/")[:-1]
            said = imports_of(file.read_bytes(), tuple(package))
            for name in (*said.modules, *said.for_types):
                self.visit(name)
            self._add_named(said, place, file)
            if said.computed:
                root = file.parents[len(package)]
                for other in _python_files(root if root in self.folders else file.parent):
                    self._add(other.relative_to(root).as_posix(), other)

    def _add(self, place: str, file: Path) -> None:
        if place not in self.found.sources:
            self.found.sources[place] = file
            if file.suffix == ".py":
                self.unread.append((place, file))

    def _add_named(self, said: Imports, place: str, file: Path) -> None:
        """Sources in other languages, which the module names by their path from its own folder."""
        for name in said.sources:
            path = file.parent / name
            if Path(name).is_absolute() or ".." in Path(name).parts:
                continue
            if os.path.isfile(path):  # noqa: PTH113  False too for what is no name of a file
                self._add((Path(place).parent / name).as_posix(), path)

    def _top(self, name: str) -> tuple[Path | None, list[Path]]:
        file, inside = find(name, self.folders)
        if name in sys.stdlib_module_names:
            if file is not None:
                raise UserError(
                    f"{file} has the name of a module of Python's own library, which everything "
                    "else imports by it: give it another name"
                )
            return None, []
        if file is not None or name == "gbench":
            return file, inside
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            return None, inside
        places = [Path(path) for path in spec.submodule_search_locations or ()]
        origin = Path(spec.origin) if spec.origin else None
        if any(is_installed(path) for path in (origin, *places) if path):
            self.found.installed.add(name)
            return None, []
        return (origin if origin is not None and origin.is_file() else None), [*inside, *places]


def _python_files(root: Path) -> Iterator[Path]:
    """Those below a folder, but for hidden ones, environments and runs."""
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(
            name
            for name in inner
            if not name.startswith((".", "__pycache__"))
            and not _RUN.fullmatch(name)
            and not Path(folder, name, "pyvenv.cfg").exists()
        )
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))
