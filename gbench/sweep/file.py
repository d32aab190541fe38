"""A sweep written down: a YAML file of what `gbench train` would be told.

    model: [gcn, sgc]            # a list is a choice of values, as commas are
    data: cora, citeseer         # and a text is read as it would be on the command line
    optim.lr: [0.01, 0.005]
    seeds: 10
    jobs: 4

A value that is itself a list stands in one: `batching.fan_outs: [[15, 10]]`. Where not every value
goes with every other, `points` lists what does; each entry is combined with all that stands beside:

    points:
      - {model: gcn, optim.lr: 0.01}
      - {model: sgc, optim.lr: 0.2}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from gbench.choices import read_yaml
from gbench.errors import UserError

POINTS = "points"
_PLAIN = re.compile(r"[\w.+:%/@?|~-]+")  # what Hydra reads without quotes


def read(path: Path, changes: Sequence[str] = ()) -> list[list[str]]:
    """The words of each of the file's `points`, or its one list; `changes` replace words by key.

    Raises UserError for a file that is no such mapping.
    """
    try:
        content = read_yaml(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    points = content.pop(POINTS, [{}])
    if not points or not isinstance(points, list) or not all(isinstance(p, dict) for p in points):
        raise UserError(f"{path}: {POINTS} has to be a list of mappings, - {{key: value}}")
    return [_changed(_words({**content, **point}, path), changes) for point in points]


def _words(settings: Mapping[str, object], path: Path) -> list[str]:
    words = []
    for key, value in settings.items():
        if isinstance(value, list) and not value:
            raise UserError(f"{path}: {key} has no values")
        if isinstance(value, list):
            words.append(f"{key}={','.join(map(as_typed, value))}")
        else:
            words.append(f"{key}={value if isinstance(value, str) else as_typed(value)}")
    return words


def as_typed(value: object) -> str:
    """The value as Hydra reads it."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{','.join(map(as_typed, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{as_typed(inner)}" for key, inner in value.items()) + "}"
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    # Hydra reads a backslash as itself, except before a quote
    return "'" + re.sub(r"(\\*)('|$)", _escaped, text) + "'"


def _escaped(found: re.Match[str]) -> str:
    return found[1] * 2 + (f"\\{found[2]}" if found[2] else "")


def _changed(words: list[str], changes: Sequence[str]) -> list[str]:
    keys = {change.partition("=")[0] for change in changes}
    return [*(word for word in words if word.partition("=")[0] not in keys), *changes]
