"""Triton's interpreter in half of its time: what it does again for every call, done once.

For a process that interprets as long as it lives: the language stays patched.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any


def make_swift(interpreter: Any) -> None:
    """Before a kernel runs. No result changes."""
    patch, builder = interpreter._patch_lang, interpreter.interpreter_builder
    look_up, patched = interpreter._get_np_dtype, set()

    def patch_once(function: Any) -> Any:
        """Each program, and each function that it calls, would patch all of the language again."""
        seen = frozenset(filter(_is_language, function.__globals__.values()))
        if seen not in patched:
            patch(function)
            patched.add(seen)
        return SimpleNamespace(restore=lambda: None)

    def numpy_dtype(kind: Any) -> Any:
        """Triton's own makes a table of all for each answer. Pointers have no hash."""
        return look_up(kind.scalar) if kind.scalar.is_ptr() else known(kind.scalar)

    known = cache(look_up)
    interpreter._patch_lang = patch_once
    interpreter._get_np_dtype = numpy_dtype
    if not builder.options.debug:  # else nobody reads what the search for overflows found
        builder.options = replace(builder.options, sanitize_overflow=False)


def _is_language(each: object) -> bool:
    return isinstance(each, ModuleType) and each.__name__.startswith("triton.language")
