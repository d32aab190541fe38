"""What tells the rows of a table apart, as it is typed on the command line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from gbench.board.differing import is_told
from gbench.board.tables import Row, Table
from gbench.choices import PACKAGED, SEVERAL, read_yaml
from gbench.config.flat import flatten
from gbench.config.identity import decisive, on_hardware
from gbench.config.optim import is_free
from gbench.named_runs import SETTINGS as RUNS

_NAMES = tuple(f"{group}.name" for group in SEVERAL)  # which are not the row's own
_LEARNING = ("optim.lr", "optim.weight_decay")  # of a row that stands alone


def settings_texts(table: Table) -> list[str]:
    """`hidden_dim=64 lr=0.01` per row: the last part of a key unless two of the keys share it.

    A row of a published setting shows `experiment=NAME`, another row of its model that and what it
    changes, as they are typed; unless two rows would then read the same. A row that has no other
    beside it tells its model's settings, how fast it learns, and what else is not as usual. A floor
    tells what its validation chose, fold by fold: `key=out-neighbours|neighbours`.
    """
    if len(table.rows) == 1:
        return [_of_one(table.rows[0])]
    keys = {key for row in table.rows for key in row.settings}
    last = {key: _last(key) for key in keys}
    times = Counter(last.values())
    names = {key: last[key] if times[last[key]] == 1 else key for key in keys}

    def text(settings: Mapping[str, Any]) -> str:
        return " ".join(f"{names[key]}={_typed(key, value)}" for key, value in settings.items())

    published = {row.model: row for row in reversed(table.rows) if row.experiment}
    full = [f"{text(row.settings)} {_chosen(row)}".strip() for row in table.rows]
    short = []
    for row, long in zip(table.rows, full, strict=True):
        base = published.get(row.model)
        if base is None or not row.settings or not base.settings.keys() <= row.settings.keys():
            short.append(long)
            continue
        own = {
            k: v for k, v in row.settings.items() if k not in base.settings or base.settings[k] != v
        }
        changed = on_hardware(row.settings) if row.experiment else own
        short.append(f"experiment={row.experiment or base.experiment} {text(changed)}".rstrip())
    times = Counter(short)
    return [brief if times[brief] == 1 else long for brief, long in zip(short, full, strict=True)]


def _chosen(row: Row) -> str:
    """What validation chose for a floor, of several values each once, the most frequent first."""
    chosen: dict[str, Counter[str]] = {}
    for run in row.runs if row.no_network else ():
        for key, value in run.chosen.items():
            chosen.setdefault(key, Counter())[_value(value)] += 1
    return " ".join(
        f"{key}={'|'.join(value for value, _ in values.most_common())}"
        for key, values in chosen.items()
    )


def _of_one(row: Row) -> str:
    if row.no_network:
        return _chosen(row)
    if row.experiment:
        return f"experiment={row.experiment}"
    usual = dict(flatten(read_yaml(PACKAGED / "train.yaml")))
    shown = {
        key: value
        for key, value in flatten(decisive(row.runs[-1].config))
        if (key in _NAMES or key.rpartition(".")[2] not in ("name", "_target_"))
        and not is_told(key)
        and (
            key.startswith(("model.", "init_from."))
            or key in _LEARNING
            or value != usual.get(key, "" if is_free(key) else value)
        )
    }
    return " ".join(f"{_last(key)}={_typed(key, value)}" for key, value in shown.items())


def _last(key: str) -> str:
    """hidden_dim of model.hidden_dim; of a run that it names teacher.seed, or init_from.seed."""
    group, _, last = key.removesuffix(".name").rpartition(".")
    return f"{group.rpartition('.')[2]}.{last}" if group in RUNS else last


def _typed(key: str, value: object) -> str:
    """Of several choices of a group the list, [lappe,rwse]."""
    is_list = key.removesuffix(".name") in SEVERAL and "+" in str(value)
    return f"[{str(value).replace('+', ',')}]" if is_list else _value(value)


def _value(value: object) -> str:
    """As Hydra's command line takes it: 0.01, true, null, [1,2], gat."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if value == "":
        return "''"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
