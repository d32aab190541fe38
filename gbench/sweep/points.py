"""From words to the configs of all points, each checked before the first of them starts.

Composing takes Hydra 0.1 s. Points that differ in seed or fold alone are composed twice, with the
smallest and the largest, and the others are derived, if these two differ in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from gbench.config.compose import Config, compose
from gbench.config.flat import flatten
from gbench.config.identity import run_name
from gbench.errors import UserError
from gbench.sweep.words import MAX_ALTERNATIVES, REPETITIONS, alternatives, count

SHOWN_ERRORS = 5


def compose_all(words: Sequence[str], config_dirs: Sequence[Path] = ()) -> list[Config]:
    """The configs of `model=gin,gcn data=cora,citeseer seeds=10 folds=all`, the last word fastest.

    Words that lead to the same run make one point of it. Raises UserError that names the points
    that cannot be composed, or that differ only in what is no part of a run.
    """
    _refuse_twice(words)
    repetitions = {word.partition("=")[0]: word for word in words}
    seeds = _repeated("seed", "seeds", repetitions)
    folds = _repeated("data.fold", "folds", repetitions)
    others = [
        alternatives(word)
        for word in words
        if word.partition("=")[0] not in ("seed", "data.fold", *REPETITIONS)
    ]
    number = len(seeds) * len(folds) * math.prod(map(len, others))
    if number > MAX_ALTERNATIVES:
        raise UserError(f"this is a sweep of {number:,} points; at most are {MAX_ALTERNATIVES:,}")

    varying = {word for axis in others if len(axis) > 1 for word in axis}
    configs: dict[Path, Config] = {}
    errors: dict[str, str] = {}  # by point
    for setting in product(*others):
        try:
            for config in _repetitions(setting, seeds, folds, config_dirs):
                first = configs.setdefault(run_folder(config), config)
                if first is not config:
                    _refuse_alike(first, config)
        except UserError as error:
            errors[" ".join(word for word in setting if word in varying)] = str(error)
    if errors:
        of_all = len(errors) == math.prod(map(len, others))
        raise UserError(_told(errors, of_all))
    return list(configs.values())


def run_folder(config: Config) -> Path:
    """Where the run of this config lies."""
    return Path(config["runs_dir"]) / run_name(config)


def _refuse_alike(one: Config, other: Config) -> None:
    """Raise UserError where two points of one folder differ: in what changes no result."""
    there = dict(flatten(other))
    differing = [
        key for key, value in flatten(one) if value != there.get(key) and key != "experiment"
    ]
    if differing:
        raise UserError(
            f"{', '.join(differing)}: changes no result, so that points which differ in nothing "
            "else are one run: give one value, as in trainer.also=[ece,mcc] for several metrics"
        )


def _refuse_twice(words: Sequence[str]) -> None:
    keys = [word.partition("=")[0] for word in words]
    for key in keys:
        if keys.count(key) > 1:
            raise UserError(f"{key} is given twice: name all its values in one, {key}=A,B")


def _repeated(key: str, short: str, words: dict[str, str]) -> list[str]:
    """The words that repeat each point: of `seed=0..2`, of `seeds=3`; nothing where none is given.

    How many folds a dataset has stands in its config: `folds=` is kept as it is.
    """
    if key in words and short in words:
        raise UserError(f"{words[key]} and {words[short]} say the same twice: give one of them")
    if key in words:
        return alternatives(words[key])
    if short not in words:
        return [""]
    given = words[short].partition("=")[2]
    if short == "folds" and given == "all":
        return [words[short]]
    number = count(short, given, least=1)
    return [f"{key}={value}" for value in range(number)]


def _repetitions(
    setting: Sequence[str], seeds: list[str], folds: list[str], config_dirs: Sequence[Path]
) -> list[Config]:
    """One setting with all its seeds and folds."""

    def composed(seed: str, fold: str) -> Config:
        return compose([*setting, *filter(None, (seed, fold))], config_dirs)

    if folds == ["folds=all"]:
        num_folds = composed(seeds[0], "")["data"]["num_folds"]
        folds = [f"data.fold={fold}" for fold in range(num_folds)]
    if len(seeds) * len(folds) == 1:
        return [composed(seeds[0], folds[0])]
    if all(_value(word).isdecimal() for word in (*seeds, *folds) if word):
        low, high = _ends(seeds), _ends(folds)
        first, last = composed(low[0], high[0]), composed(low[1], high[1])
        if _derived(first, low[1], high[1]) == last:
            return [_derived(first, seed, fold) for seed, fold in product(seeds, folds)]
    return [composed(seed, fold) for seed, fold in product(seeds, folds)]


def _ends(words: list[str]) -> tuple[str, str]:
    """The words with the smallest and the largest number; legal values are intervals."""
    if words == [""]:
        return "", ""
    ordered = sorted(words, key=lambda word: int(_value(word)))
    return ordered[0], ordered[-1]


def _derived(config: Config, seed: str, fold: str) -> Config:
    derived = {**config, "data": dict(config["data"])}
    if seed:
        derived["seed"] = int(_value(seed))
    if fold:
        derived["data"]["fold"] = int(_value(fold))
    return derived


def _value(word: str) -> str:
    return word.partition("=")[2]


def _told(errors: Mapping[str, str], of_all: bool) -> str:
    """The errors with their points; one that all points have is told once."""
    if of_all and len({*errors.values()}) == 1:
        return next(iter(errors.values()))
    lines = [
        error if error.startswith(point) else f"{point}: {error}" for point, error in errors.items()
    ]
    if len(lines) == 1:
        return lines[0]
    if len(lines) > SHOWN_ERRORS:
        lines[SHOWN_ERRORS:] = [f"… and {len(lines) - SHOWN_ERRORS} more"]
    return f"{len(errors)} settings cannot run:\n  " + "\n  ".join(lines)
