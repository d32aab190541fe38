"""What a Python file imports, read from its source without executing it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
# what compilers of extensions are given; a file of numbers may be one that the code itself writes
_SOURCE = re.compile(r"[^\n]{1,200}\.(c|cc|cpp|cu|cuh|h|hpp|pyx|py|jl)")
_BY_NAME = ("import_module", "__import__", "get_class", "get_object")
_COMPUTED = ("spec_from_file_location", "SourceFileLoader", "run_path", "run_module")


class Imports(NamedTuple):
    """Of one file."""

    modules: tuple[str, ...]  # dotted, absolute; `a.b` may also be a name in `a`
    for_types: tuple[str, ...]  # those that are imported below `if TYPE_CHECKING:` alone
    sources: tuple[str, ...]  # strings that look like files of code
    computed: bool  # it imports what only running it would tell


@lru_cache(maxsize=1000)
def imports_of(source: bytes, package: tuple[str, ...]) -> Imports:
    """The imports of a module of this package, () for one at the top."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # the run will say so
        return Imports((), (), (), False)
    types = {id(inner) for node in ast.walk(tree) for inner in _for_types(node)}
    modules: dict[str, None] = {}
    for_types: dict[str, None] = {}
    sources: dict[str, None] = {}
    computed = False
    for node in ast.walk(tree):
        names = for_types if id(node) in types else modules
        if isinstance(node, ast.Import):
            names |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*_above(package, node.level), *(node.module or "").split(".")]
            start = ".".join(filter(None, base))
            names |= dict.fromkeys(f"{start}.{alias.name}".strip(".") for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if _DOTTED.fullmatch(node.value):  # a name for import_module, or a _target_
                modules[node.value] = None
            if _SOURCE.fullmatch(node.value):
                sources[node.value] = None
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            if name in _BY_NAME:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    dots = len(first.value) - len(first.value.lstrip("."))
                    above = [*_above(package, dots), first.value.lstrip(".")]
                    modules[".".join(above)] = None
                else:
                    computed = True
            computed |= name in _COMPUTED or (name == "exec" and isinstance(node.func, ast.Name))
        elif isinstance(node, ast.Attribute) and node.attr == "path":
            computed |= isinstance(node.value, ast.Name) and node.value.id == "sys"
    for_types = {name: None for name in for_types if name not in modules}
    return Imports(tuple(modules), tuple(for_types), tuple(sources), computed)


def _for_types(node: ast.AST) -> Iterator[ast.AST]:
    """All below an `if TYPE_CHECKING:`, which is never executed."""
    test = node.test if isinstance(node, ast.If) else None
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    if isinstance(node, ast.If) and name == "TYPE_CHECKING":
        for statement in node.body:
            yield from ast.walk(statement)


def _above(package: tuple[str, ...], level: int) -> tuple[str, ...]:
    """The package that so many dots in front of a name mean."""
    return package[: len(package) - level + 1] if level else ()
