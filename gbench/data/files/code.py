"""The code that a derived file comes from: what the function that makes it imports, and no more.

Imports are followed through gbench and through the user's own modules, by reading the sources. Not
followed are
- imports for types alone, below `if TYPE_CHECKING:`;
- all that a package's `__init__.py` gathers: of `from gbench.kernels import spmm` it is the one
  module that defines `spmm`, of `from gbench import kernels` it is all of them;
- NO_RESULT, modules that tell the user something or know where files lie.
So a file is made again when a helper of its function is edited, wherever that lies, and not when
another loader or encoding is added beside it. How files are laid out has a number: cache.LAYOUTS.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from gbench.errors import UserError
from gbench.own_code.closure import closure, find
from gbench.own_code.importing import own_places
from gbench.own_code.imports import imports_of
from gbench.own_code.stated import digest, source_digest

ROOT = Path(__file__).parents[3]  # the folder that holds the package

NO_RESULT = frozenset({"gbench.errors", "gbench.environment", "gbench.folders", "gbench.fault"})

KERNELS = "gbench.kernels"  # whose operations are found by name: kernels/cpu/NAME.py


def code_of(target: str, root: Path = ROOT) -> str:
    """One hash of all code that a loader's or an encoding's `_target_` executes.

    Raises UserError for a target whose module cannot be found.
    """
    own = "" if target.startswith("gbench.") else source_digest(target, own_places())
    start = [target] if target.startswith("gbench.") else [*_of_own(target)]
    facts = [(name, digest(path)) for name, path in sorted(modules(start, root).items())]
    if not own and not facts:
        raise UserError(
            f"there is no module for the loader '{target}': _target_ must name a function, "
            "as in my_module.load, and the module must be importable"
        )
    return hashlib.sha256(repr((own, facts)).encode()).hexdigest()


def modules(dotted: Iterable[str], root: Path = ROOT) -> dict[str, Path]:
    """The files of gbench that these names of modules, functions or classes lead to, by module."""
    found: dict[str, Path] = {}
    waiting = [*dotted]
    while waiting:
        for name, path in _defined_in(waiting.pop(), root):
            if name not in found and name not in NO_RESULT:
                found[name] = path
                waiting += _imported(name, path)
    return found


def _imported(name: str, path: Path) -> list[str]:
    """What a module of gbench imports of gbench, under dotted names."""
    parts = tuple(name.split("."))
    package = parts if path.name == "__init__.py" else parts[:-1]
    said = imports_of(path.read_bytes(), package)
    imported = [other for other in said.modules if other.startswith("gbench.")]
    if package == tuple(KERNELS.split(".")) and f"{KERNELS}.library" in imported:
        imported.append(f"{KERNELS}.cpu.{parts[-1]}")  # derived files are computed on the CPU
    return imported


def _defined_in(dotted: str, root: Path) -> Iterator[tuple[str, Path]]:
    """The module that a dotted name is, or that defines it; nothing if there is none."""
    inside, done = [root], list[str]()
    for part in dotted.split("."):
        file, deeper = find(part, inside)
        if file is None and not deeper:
            break
        done.append(part)
        if file is not None and not deeper:
            yield ".".join(done), file
            return
        inside = deeper
    rest = dotted.split(".")[len(done) :]
    init = inside[0] / "__init__.py"
    if init.is_file():  # names that the package has from its modules: one, or all of them
        gathered = _gathered(init.read_bytes(), tuple(done))
        named = [gathered.get(rest[0])] if rest and rest != ["*"] else [*gathered.values()]
        for source in named:
            if source is not None and source != dotted:
                yield from _defined_in(source, root)


@lru_cache(maxsize=100)
def _gathered(source: bytes, package: tuple[str, ...]) -> dict[str, str]:
    """Where the names come from that a package's `__init__.py` imports."""
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join(filter(None, [*above, node.module]))
            found |= {alias.asname or alias.name: f"{start}.{alias.name}" for alias in node.names}
    return found


def _of_own(target: str) -> Iterator[str]:
    """What the user's own modules that a target leads to import of gbench."""
    for place, path in closure([target], own_places()).sources.items():
        if path.suffix == ".py":
            said = imports_of(path.read_bytes(), tuple(place.split("/")[:-1]))
            yield from (name for name in said.modules if name.startswith("gbench."))
