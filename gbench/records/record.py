"""What one finished run leaves behind: `record.json`, schema 1, written last and atomically."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from gbench.config.floors import is_floor
from gbench.errors import UserError
from gbench.folders import written_whole

SCHEMA = 1  # goes up when the meaning of a key changes; a new key alone does not need it
FILE_NAME = "record.json"

# How the tested weights were chosen. With best-mean-epoch there is no choice within a run: the
# result of its row is read off all its runs' curves, see gbench/board/mean_epoch.py.
Selection = Literal["best-validation", "last-epoch", "best-mean-epoch"]


@dataclass(frozen=True)
class RunRecord:
    """One finished run. The fields are the schema: each is a key of `record.json`.

    A figure that is unknown or not finite (a diverged loss, say) is NaN here and null in the file.
    """

    run: str  # name of the run's folder
    identity: str  # hash of the resolved config without seed and fold: see identity.py
    seed: int
    fold: int  # 0 where the dataset has one split only
    num_folds: int
    data: str
    model: str
    task: str  # node-classification, graph-classification, graph-regression or link-prediction
    split: str
    selection: Selection
    metric: str
    direction: Literal["max", "min"]
    valid: float  # the metric of the tested weights, as a fraction, not in percent
    test: float
    best_epoch: int  # the epoch of the tested weights, counted from 1
    epochs: int  # that were run
    num_parameters: int
    seconds_per_epoch: float  # training and validation, median over the epochs
    seconds_total: float
    items_per_second: float  # in training
    item: Literal["graphs", "nodes", "links"]
    peak_memory_mib: float  # allocated on the GPU, or resident on the CPU
    device: str
    versions: dict[str, Any]  # package: version; gbench's, and of all that own code imports
    git: dict[str, Any] | None  # of gbench: commit, dirty; null outside a checkout
    fingerprint: str  # hash of the dataset as it was read
    started: str  # ISO 8601, UTC
    finished: str
    # The resolved config, seed and folders included. Runs of code outside gbench have a key `code`:
    # digests of that code and of the files that settings name, see gbench/own_code/stated.py.
    config: dict[str, Any]
    curve: list[float] = field(default_factory=list)  # `valid` by epoch, of best-mean-epoch alone
    # of each metric of trainer.also, by name: {"valid": of the tested weights, "test": ...}
    also: dict[str, dict[str, float]] = field(default_factory=dict)
    trials: int = 1  # of the search that found this setting; 1 without one
    captured: bool = False  # whether epochs were launched as CUDA graphs: trainer.cuda_graphs
    # of the training part, those that the model asks for by name
    statistics: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)  # of a floor: what validation chose
    # MiB of data (reading it), training, validation and test; null where it cannot be told
    peak_memory_by_phase: dict[str, float] = field(default_factory=dict)
    # of dense layers on a CPU, by inputs, outputs, rows and threads: which way each product went,
    # torch or convolution, where there was a choice (gbench/kernels/cpu/ways.py)
    dense_products: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def is_floor(self) -> bool:
        """Whether its model is no network: see gbench/floors."""
        return is_floor(self.config.get("model", {}))

    def to_json(self) -> str:
        """One key per line, schema first, so that records can be read, grepped and diffed."""
        keys = ["schema", *(key for key in _KINDS if key != "schema")]
        lines = [
            f"  {json.dumps(key)}: {json.dumps(finite(getattr(self, key)), allow_nan=False)}"
            for key in keys
        ]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @staticmethod
    def from_json(text: str | bytes) -> RunRecord:
        """Parse and check a record; keys that this version does not know are ignored.

        Raises UserError that says what is wrong with it, in one line.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"not valid JSON ({error})") from None
        if not isinstance(values, dict) or type(values.get("schema")) is not int:
            raise UserError("not a gbench record: it has no 'schema' number")
        if values["schema"] > SCHEMA:
            raise UserError(
                f"schema {values['schema']} is newer than this gbench reads ({SCHEMA}): "
                "upgrade gbench"
            )
        if values["schema"] < SCHEMA:
            raise UserError(f"there is no schema {values['schema']}; this gbench reads {SCHEMA}")
        checked: dict[str, Any] = {}
        for key, (kinds, wanted) in _KINDS.items():
            if key in values:
                value = values[key]
            elif key in _ADDED:
                value = _ADDED[key]
            else:
                raise UserError(f"'{key}' is missing")
            if type(value) not in kinds or (type(value) is int and abs(value) >= 1 << 64):
                raise UserError(f"'{key}' is {_short(value)}, not {wanted}")
            checked[key] = _number(value) if float in kinds else value
        checked["curve"] = _numbers("curve", checked["curve"])
        checked["also"] = {name: _parts(name, of) for name, of in checked["also"].items()}
        peaks = checked["peak_memory_by_phase"]
        checked["peak_memory_by_phase"] = dict(
            zip(peaks, _numbers("peak_memory_by_phase", [*peaks.values()]), strict=True)
        )
        _check_values(checked)
        record = object.__new__(RunRecord)
        # The frozen constructor takes 9 µs for its 30 fields, a tenth of loading 10,000 records.
        record.__dict__.update(checked)
        return record


_ALLOWED = {
    "selection": get_args(Selection),
    "direction": ("max", "min"),
    "item": ("graphs", "nodes", "links"),
}
# what older records do not say
_ADDED: dict[str, Any] = {
    "curve": [],
    "also": {},
    "trials": 1,
    "captured": False,
    "statistics": {},
    "chosen": {},
    "dense_products": {},
    "peak_memory_by_phase": {},
}
_BY_ANNOTATION = {
    "int": (frozenset({int}), "a whole number"),
    "float": (frozenset({float, int, type(None)}), "a number or null"),
    "bool": (frozenset({bool}), "true or false"),
    "str": (frozenset({str}), "a string"),
    "list[float]": (frozenset({list}), "a list of numbers"),
    "dict[str, float]": (frozenset({dict}), "an object of numbers"),
    "dict[str, dict[str, float]]": (frozenset({dict}), "an object of objects of numbers"),
    "dict[str, Any]": (frozenset({dict}), "an object"),
    "dict[str, Any] | None": (frozenset({dict, type(None)}), "an object or null"),
}
_KINDS = {f.name: _BY_ANNOTATION.get(str(f.type), _BY_ANNOTATION["str"]) for f in fields(RunRecord)}


def write(record: RunRecord, folder: Path) -> Path:
    """Write `folder/record.json` so that it is either the old one or the new one, never a part."""
    path = folder / FILE_NAME
    with written_whole(path) as file:
        file.write(record.to_json().encode())
    return path


def read(path: str | Path) -> RunRecord:
    """Read one `record.json`; raises UserError with its path if it is missing or damaged."""
    try:
        return RunRecord.from_json(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def finite(value: Any) -> Any:
    """The same value with None for every float that JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def _check_values(values: dict[str, Any]) -> None:
    for key, allowed in _ALLOWED.items():
        if values[key] not in allowed:
            raise UserError(f"'{key}' is {_short(values[key])}, not one of {', '.join(allowed)}")
    for key in ("started", "finished"):
        try:
            aware = datetime.fromisoformat(values[key]).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            raise UserError(f"'{key}' is {_short(values[key])}, not an ISO 8601 time with its zone")


def _number(value: float | None) -> float:
    return float(value) if value is not None and math.isfinite(value) else math.nan


def _numbers(key: str, values: list[Any]) -> list[float]:
    if any(type(value) not in (int, float, type(None)) for value in values):
        raise UserError(f"'{key}' is {_short(values)}, not a list of numbers")
    return [_number(value) for value in values]


def _parts(name: str, values: Any) -> dict[str, float]:
    """What is told of one metric of trainer.also."""
    if not isinstance(values, dict) or {*values} != {"valid", "test"}:
        raise UserError(f"'also' has {_short(values)} of {_short(name)}, not valid and test")
    return dict(zip(values, _numbers("also", [*values.values()]), strict=True))


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:39] + "…"
