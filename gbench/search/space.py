"""What a search may choose: a YAML file of settings and their ranges.

trials: 60                                                   # unless the command line says
optim.weight_decay: {low: 1.0e-10, high: 1.0e-4, log: true}
model.hops: {low: 1, high: 10}                               # whole numbers, both ends included
model.dropout: {low: 0.0, high: 0.8, step: 0.1}
model.hidden_dim: [16, 32, 64]                               # or {choices: [16, 32, 64]}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gbench.choices import choices, read_yaml
from gbench.config.compose import Config, compose
from gbench.config.flat import flatten
from gbench.config.floors import is_floor
from gbench.errors import UserError, unknown
from gbench.sweep.file import as_typed
from gbench.sweep.words import count

Value = bool | int | float | str | None
SECTIONS = ("model", "optim", "trainer", "transform", "encoding", "batching", "predictor")
USUAL_TRIALS = 50


@dataclass(frozen=True)
class Dimension:
    """One setting and what it may be: `choices`, or numbers from `low` to `high`."""

    key: str
    choices: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    whole: bool = False  # whole numbers only

    def ends(self) -> tuple[Value, ...]:
        """The values that have to be legal for all others to be so."""
        return self.choices or (self.low, self.high)


@dataclass(frozen=True)
class Space:
    """The settings to choose and how often to try, as the file says it."""

    name: str
    dimensions: tuple[Dimension, ...]
    trials: int
    stated: dict[str, Any]  # the lines of the file


def read_space(
    words: Sequence[str], base: Config, name: str | None, config_dirs: Sequence[Path] = ()
) -> Space:
    """The space `conf/sweep/NAME.yaml`, each end of each range composed with `words`.

    `base` is the config of the words alone. Without a name it is the model's own space. A setting
    that is among the words is fixed by them.
    Raises UserError for a setting that does not exist, and for values that it cannot take.
    """
    found = choices("sweep", config_dirs)
    chosen = name or base["model"]["name"]
    if chosen not in found:
        hint = "" if name else f"sweep=NAME names one; {chosen} has none of its own"
        raise unknown("search space", chosen, found, hint)
    path = found[chosen]
    stated = read_yaml(path)
    trials = count("trials", str(stated.pop("trials", USUAL_TRIALS)), least=1)
    typed = {word.partition("=")[0] for word in words}
    stated = {str(key): lines for key, lines in stated.items() if key not in typed}
    if not stated:
        raise UserError(f"{path}: no setting is left to search")
    usual = dict(flatten(base))
    dimensions = tuple(_dimension(key, lines, usual, path) for key, lines in stated.items())
    for number in range(max(len(dimension.ends()) for dimension in dimensions)):
        values = {d.key: d.ends()[number % len(d.ends())] for d in dimensions}
        try:
            compose([*words, *setting_words(values)], config_dirs)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    return Space(chosen, dimensions, trials, stated)


def setting_words(values: Mapping[str, Value]) -> list[str]:
    """The values as they are typed: `optim.lr=0.01`."""
    return [f"{key}={as_typed(value)}" for key, value in values.items()]


def check_objective(config: Config) -> None:
    """Raise UserError where there is nothing to search, or validation is no judge of its own."""
    data = config["data"]
    if is_floor(config["model"]):
        raise UserError(
            f"model={config['model']['name']} is no network: gbench train alone chooses its "
            "settings by validation"
        )
    if data.get("parts", "disjoint") != "disjoint":
        raise UserError(
            f"{data['name']} with data.split={data['split']} validates on data that it tests on or "
            "trains on: a search would choose by them. Take another data.split"
        )


def _dimension(key: str, lines: object, usual: Mapping[str, Any], path: Path) -> Dimension:
    place = f"{path}: {key}"
    if key.split(".")[0] not in SECTIONS or key == "model":
        raise UserError(f"{place}: a search chooses among {', '.join(SECTIONS)} settings alone")
    if isinstance(lines, list):
        lines = {"choices": lines}
    if not isinstance(lines, dict):
        raise UserError(f"{place}: expected a list, or {{low: 0.1, high: 1.0}}; fix it in words")
    if "choices" in lines:
        return _categorical(key, lines, place)
    for name in lines:
        if name not in ("low", "high", "log", "step"):
            raise UserError(f"{place}: '{name}' is none of choices, low, high, log, step")
    if not {"low", "high"} <= {*lines}:
        raise UserError(f"{place}: a range needs low and high")
    usually, log = usual.get(key), lines.get("log", False)
    if isinstance(usually, bool | str):
        raise UserError(f"{place} is no number, such as {usually}: list its values")
    numbers = {name: lines[name] for name in ("low", "high", "step") if name in lines}
    whole = isinstance(usually, int) or (
        usually is None and all(isinstance(number, int) for number in numbers.values())
    )
    for name, number in numbers.items():
        kinds = (int,) if whole else (int, float)
        if type(number) not in kinds or not math.isfinite(number):
            wanted = "a whole number" if whole else "a number, such as 1.0e-4"
            raise UserError(f"{place}: {name} is {number!r}, not {wanted}")
    if type(log) is not bool:
        raise UserError(f"{place}: log is true or false")
    return _range(Dimension(key, log=log, whole=whole, **numbers), place)


def _categorical(key: str, lines: Mapping[str, Any], place: str) -> Dimension:
    values = lines["choices"]
    if len(lines) > 1:
        raise UserError(f"{place}: choices stand alone, without {', '.join([*lines][1:])}")
    if not isinstance(values, list) or len(values) < 2:
        raise UserError(f"{place}: choices are a list of at least two values")
    if not all(isinstance(value, bool | int | float | str | None) for value in values):
        raise UserError(f"{place}: choices are numbers, words, true, false or null")
    if len({as_typed(value) for value in values}) < len(values):
        raise UserError(f"{place}: a value stands there twice")
    return Dimension(key, choices=tuple(values))


def _range(dimension: Dimension, place: str) -> Dimension:
    low, high, step = dimension.low, dimension.high, dimension.step
    if low >= high:
        raise UserError(f"{place}: low={low} has to be below high={high}")
    if dimension.log and low <= 0:
        raise UserError(f"{place}: low={low} has no logarithm: it has to be above 0")
    if dimension.log and step is not None:
        raise UserError(f"{place}: a logarithmic range has no step")
    if step is not None:
        steps = (high - low) / step if step > 0 else math.nan
        if not math.isclose(steps, round(steps) if steps == steps else 0, abs_tol=1e-9):
            raise UserError(f"{place}: from {low} to {high} are no whole steps of {step}")
    return dimension
