"""Settings given as Python values, as the words that `gbench train` takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from gbench.errors import UserError

Setting = str | int | float | bool | Path | None

_TWO = re.compile(r"\S\s+[\w.+~]+=")  # two settings in one text; a value may have spaces


def words_of(words: Sequence[str], settings: Mapping[str, Setting]) -> list[str]:
    """The words, and of each setting `key=value`.

    Raises UserError for what is no text of one setting, and for a value that has no such text.
    """
    for word in words:
        if not isinstance(word, str):
            raise UserError(
                f"{word!r} is no setting: each is a text or a keyword, as in "
                'gbench.run("model=gcn", data="cora")'
            )
        if _TWO.search(word) and not re.search(r"['\"\[{(]", word):
            parts = ", ".join(f'"{part}"' for part in word.split())
            raise UserError(f'"{word}": each setting is a text of its own: {parts}')
    return [*words, *(f"{key}={_text(key, value)}" for key, value in settings.items())]


def quoted(path: str | Path) -> str:
    """A path as Hydra reads it, whatever signs are in it."""
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def _text(key: str, value: Setting) -> str:
    if value is None:
        return "null"
    if isinstance(value, Path) or key == "runs_dir":
        return quoted(value) if isinstance(value, str | Path) else str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    number = value.item() if hasattr(value, "item") else value  # of NumPy and torch
    if isinstance(number, int | float):
        return repr(number)
    if isinstance(value, Mapping):
        inner = next(iter(value), "KEY")
        raise UserError(
            f"{key}={value!r}: a setting has a single value, so each of these is one of its own, "
            f'by its whole name: **{{"{key}.{inner}": VALUE}}, or the text "{key}.{inner}=VALUE"'
        )
    raise UserError(
        f"{key}={value!r}: a setting is a text, a number, True, False, None or a path. Several "
        f'values that make a sweep are a text, {key}="A,B" or {key}="0..9"; a list as one value is '
        f'"{key}=[A,B]"'
    )
