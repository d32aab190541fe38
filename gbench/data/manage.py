"""What `gbench data get|info|list|clean` say and do. Only `get` imports torch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gbench.choices import choices, description, read_yaml
from gbench.data import cache, raw
from gbench.data.spec import DataCard, with_split
from gbench.errors import UserError, unknown


def card_of(name: str, config_dirs: Sequence[Path] = (), split: str = "") -> DataCard:
    """The card of a dataset, as its YAML states it, under one of its splits (empty: its usual one).

    Raises UserError for a name or a split that does not exist.
    """
    found = choices("data", config_dirs)
    if name not in found:
        raise unknown("dataset", name, found)
    stated = {**read_yaml(found[name]), "name": name}
    if split:
        if split not in stated.get("splits", {}):
            raise unknown(f"split of {name}", split, stated.get("splits") or [stated["split"]])
        stated["split"] = split
    return DataCard.from_config(with_split(stated))


def get(card: DataCard, data_dir: Path, cache_dir: Path) -> str:
    """Make a dataset ready to train on, and say what it is. Downloads show on stderr."""
    from gbench.data.load import load

    dataset = load(card, data_dir, cache_dir)
    sizes = ", ".join(f"{value:,} {key[4:]}" for key, value in dataset.statistics.items())
    path = cache.path_of(card, cache_dir)
    return f"{card.name} is ready: {sizes} ({_size(path.stat().st_size)} in {path.parent})"


def info(card: DataCard, about: str, data_dir: Path, cache_dir: Path) -> str:
    """Everything that a dataset's YAML states, and where its files are looked for."""
    folds = f", folds 0 to {card.num_folds - 1}" if card.num_folds > 1 else ""
    goal = "higher is better" if card.direction == "max" else "lower is better"
    judge = f", by OGB's evaluator for {card.evaluator}" if card.evaluator else ""
    features = "rows divided by their sums" if card.normalize_features else "as published"
    rows = {
        card.name: about,
        "task": card.task,
        "split": card.split + folds,
        **({"splits": ", ".join(card.splits)} if card.splits else {}),
        "metric": f"{card.metric} ({goal}{judge})",
        "features": features,
        **{key: f"{value:,}" for key, value in card.statistics.items()},
        **{f"data.{key}": str(value) for key, value in card.options.items()},
        "source": card.source,
        "licence": card.licence,
        "citation": card.citation,
        "raw files": str(data_dir / card.folder) if card.folder else "none needed",
        "download": ", ".join(part["url"] for part in card.download) or "none",
        "state": _state(card, data_dir, cache_dir),
        "cached": f"{_size(_cached(card.name, cache_dir))} in "
        f"{cache.folder_of(card.name, cache_dir)}",
    }
    width = max(map(len, rows))
    return "\n".join(f"{key:{width}}  {value}" for key, value in rows.items())


class Row(NamedTuple):
    """One line of `gbench data list`."""

    name: str
    level: str
    split: str
    metric: str
    state: str
    cached: str


def listing(config_dirs: Sequence[Path], data_dir: Path, cache_dir: Path) -> str:
    """Every dataset with its protocol and whether it is at hand, as an aligned table."""
    rows = [Row("data", "level", "split", "metric", "state", "cached")]
    for name in choices("data", config_dirs):
        card = card_of(name, config_dirs)
        size = _cached(name, cache_dir)
        state = _state(card, data_dir, cache_dir)
        rows.append(
            Row(name, card.level, card.split, card.metric, state, _size(size) if size else "")
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def clean(names: Sequence[str], cache_dir: Path) -> str:
    """Remove derived files, never raw ones, and say how much that freed. `all` means all of them.

    Raises UserError for a name under which nothing is cached and no dataset exists.
    """
    root = cache.folder_of("", cache_dir)
    there = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    chosen = there if "all" in names else names
    for name in chosen:
        if name not in there and name not in choices("data"):
            raise unknown("dataset", name, [*choices("data"), "all"])
    freed = 0
    for name in chosen:
        freed += _cached(name, cache_dir)
        shutil.rmtree(cache.folder_of(name, cache_dir), ignore_errors=True)
    return f"freed {_size(freed)} in {root}; raw files are untouched"


def about(name: str, config_dirs: Sequence[Path] = ()) -> str:
    """The line that a dataset's YAML opens with."""
    return description(choices("data", config_dirs)[name])


def _state(card: DataCard, data_dir: Path, cache_dir: Path) -> str:
    if not card.folder:
        return "embedded"
    try:
        if cache.path_of(card, cache_dir).exists():
            return "ready"
    except UserError:
        return "loader cannot be imported"
    return "raw files missing" if raw.state(card, data_dir) is None else "raw files there"


def _cached(name: str, cache_dir: Path) -> int:
    """Bytes of everything derived from a dataset."""
    folder = cache.folder_of(name, cache_dir)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"
