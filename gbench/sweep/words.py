"""What is typed for a sweep, as lists of alternatives: `seed=0..9`, `model=gin,gcn`, `seeds=10`.

A comma or a range `A..B` (both ends included) at the top level of a value makes alternatives; what
stands in brackets, braces, parentheses or quotes is one value, as Hydra reads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from gbench.errors import UserError, unknown

REPETITIONS = ("seeds", "folds")  # of every point: see points.py
OPTIONS = ("jobs", "retries", "executor")
PLACES = ("data.path", "data.source")
EXECUTORS = ("local", "slurm", "ray")
MAX_ALTERNATIVES = 10_000  # seed=0..4294967295 is a slip, and would fill the memory


Jobs = int | Literal["auto"] | None


@dataclass(frozen=True)
class Options:
    """How a sweep is carried out; none of it can move a result."""

    jobs: Jobs = None  # points at once; None: one for each GPU or core; auto: see room.py
    retries: int = 1  # how often a point that failed is tried again
    executor: str = "local"
    cluster: dict[str, str] = field(default_factory=dict)  # slurm.KEY=VALUE, without `slurm.`


def is_sweep(words: Sequence[str]) -> bool:
    """Whether the words ask for more than a plain run."""
    own = (*REPETITIONS, *OPTIONS)
    return any(
        _key(word) in own or _cluster(word) or alternatives(word) != [word] for word in words
    )


def take_options(words: Sequence[str]) -> tuple[Options, list[str]]:
    """The sweep's own options, and the words that are left."""
    given = {_key(word): word.partition("=")[2] for word in words if _key(word) in OPTIONS}
    clusters = [word for word in words if _cluster(word)]
    rest = [word for word in words if _key(word) not in given and word not in clusters]
    options = Options()
    if given.get("jobs") == "auto":
        options = replace(options, jobs="auto")
    elif "jobs" in given:
        options = replace(options, jobs=count("jobs", given["jobs"], least=1))
    if "retries" in given:
        options = replace(options, retries=count("retries", given["retries"], least=0))
    if "executor" in given:
        if given["executor"] not in EXECUTORS:
            raise unknown("executor", given["executor"], EXECUTORS)
        options = replace(options, executor=given["executor"])
    if options.jobs == "auto" and options.executor != "local":
        raise UserError(f"jobs=auto is for this machine: give executor={options.executor} a number")
    for word in clusters:
        if _cluster(word) != options.executor:
            raise UserError(f"{word}: is for executor={_cluster(word)}")
        key, _, value = word.partition("=")
        options.cluster[key.partition(".")[2]] = value
    return options, rest


def count(key: str, text: str, least: int) -> int:
    """The whole number that `key` was given; UserError for anything else."""
    if not re.fullmatch(r"\d{1,6}", text) or int(text) < least:
        raise UserError(f"{key}={text}: expected a whole number, at least {least}")
    return int(text)


def alternatives(word: str) -> list[str]:
    """`seed=1,5..7` → `seed=1`, `seed=5`, `seed=6`, `seed=7`; a plain word is its own only one.

    Raises UserError for an empty place between commas and for a range that runs backwards.
    """
    key, equals, value = word.partition("=")
    if not equals:
        return [word]
    if key in PLACES and Path(value).expanduser().exists():
        return [word]  # a comma in the name of what is there makes no list
    parts = split_value(value)
    if len(parts) > 1 and not all(parts):
        raise UserError(f"{word}: a value is missing beside a comma")
    found: list[str] = []
    for part in parts:
        found += [f"{key}={value}" for value in _range(part, word)]
        if len(found) > MAX_ALTERNATIVES:
            raise UserError(f"{word}: more than {MAX_ALTERNATIVES:,} values")
    return found


def split_value(value: str) -> list[str]:
    """The parts between the commas that stand outside of brackets and quotes."""
    parts, depth, quote, start, skip = [], 0, "", 0, False
    for position, sign in enumerate(value):
        if skip:
            skip = False
        elif sign == "\\":
            skip = True
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "[{(":
            depth += 1
        elif sign in ")}]":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(value[start:position].strip())
            start = position + 1
    return [*parts, value[start:].strip() if parts else value]


def _range(part: str, word: str) -> list[str]:
    ends = re.fullmatch(r"(-?\d{1,10})\.\.(-?\d{1,10})", part)
    if ends is None:
        return [part]
    first, last = int(ends[1]), int(ends[2])
    if last < first:
        raise UserError(f"{word}: {first}..{last} runs backwards: type {last}..{first}")
    if last - first >= MAX_ALTERNATIVES:
        raise UserError(f"{word}: more than {MAX_ALTERNATIVES:,} values")
    return [str(value) for value in range(first, last + 1)]


def _cluster(word: str) -> str:
    """The executor, of a word that is a setting of it: `slurm.partition=gpu`."""
    name = word.partition("=")[0].partition(".")[0]
    return name if name in EXECUTORS[1:] and "." in word.partition("=")[0] else ""


def _key(word: str) -> str:
    return word.partition("=")[0]
