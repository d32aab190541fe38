"""Words that the user gives to runs: `tags.json` in a run's folder, written whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from gbench.errors import UserError
from gbench.folders import written_whole

FILE_NAME = "tags.json"
_WORD = re.compile(r"[\w.+-]+")


def read(folder: Path) -> tuple[str, ...]:
    """A run's tags in order; UserError where the file was damaged by hand."""
    path = folder / FILE_NAME
    try:
        tags = json.loads(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it") from error
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise UserError(f"{path} is not a list of words: delete it")
    return tuple(sorted(set(tags)))


def write(folder: Path, tags: Iterable[str]) -> None:
    """Replace a run's tags; none leaves no file."""
    kept = sorted(set(tags))
    if not kept:
        (folder / FILE_NAME).unlink(missing_ok=True)
        return
    with written_whole(folder / FILE_NAME) as file:
        file.write(json.dumps(kept, ensure_ascii=False).encode())


def checked(tag: str) -> str:
    """The tag, if it can be typed in a filter."""
    if not _WORD.fullmatch(tag):
        raise UserError(f"'{tag}' is no tag: one word of letters, digits and . _ + -, please")
    return tag
