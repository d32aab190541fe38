"""What `gbench data get|info|list|clean` say and do. Only `get` imports torch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gbench.choices import choices, description, read_yaml, title
from gbench.data.files import cache, named
from gbench.data.places import with_own
from gbench.data.spec import DataCard, with_name, with_split
from gbench.data.split_names import meanings
from gbench.errors import UserError, unknown


def card_of(name: str, config_dirs: Sequence[Path] = (), split: str = "") -> DataCard:
    """The card of a dataset, as its YAML states it, under one of its splits (empty: its usual one).

    A dataset of a collection goes by its name there, a folder of one's own by its path. Raises
    UserError for a name or a split that does not exist, and for a collection.
    """
    if is_path(name):
        from gbench.data.own import facts_of

        config = {"data": {**read_yaml(choices("data")["folder"]), "name": "folder"}}
        return DataCard.from_config(with_own(config, facts_of(Path(name)))["data"])
    path = _yaml_of(name, config_dirs)
    return _card(name, path, read_yaml(path), split)


def every_card(config_dirs: Sequence[Path] = ()) -> list[DataCard]:
    """The cards of all datasets, by name; those of collections that have no YAML file as well."""
    found: dict[str, DataCard] = {}
    for path in choices("data", config_dirs).values():
        stated = read_yaml(path)
        if not {"names", "path"} & stated.keys():  # else of a folder of one's own
            found[path.stem] = _card(path.stem, path, stated)
        members = [n for n, kind in stated.get("names", {}).items() if type(kind) is list]
        found |= {name: _card(name, path, stated) for name in members}
    return [found[name] for name in sorted(found)]


def _card(name: str, path: Path, stated: dict[str, Any], split: str = "") -> DataCard:
    stated = with_name(
        {**stated, "name": name if stated.get("names") else title("data", path)}, path.stem
    )
    if split:
        if split not in stated.get("splits", {}):
            raise unknown(f"split of {name}", split, stated.get("splits") or [stated["split"]])
        stated["split"] = split
    return DataCard.from_config(with_split(stated))


def is_path(name: str) -> bool:
    """Whether the name of a dataset is that of a folder or file of one's own."""
    return os.sep in name or name.endswith(".pt") or name in (".", "..")


def _yaml_of(name: str, config_dirs: Sequence[Path]) -> Path:
    """The YAML file of a dataset, or else of the collection that it belongs to."""
    found = choices("data", config_dirs)
    if name in found:
        return found[name]
    for path in found.values():
        if member := read_yaml(path).get("names", {}).get(name):
            return found[member] if isinstance(member, str) else path
    raise unknown("dataset", name, found)


def get(
    cards: Sequence[DataCard], data_dir: Path, cache_dir: Path, source: str = ""
) -> Iterator[str]:
    """Make datasets ready to train on, and say what each is. Downloads show on stderr."""
    from gbench.data.files.download import download
    from gbench.data.load import load

    new = [c for c in cards if not cache.path_of(c, cache_dir).exists()]
    if any(named.missing(card, data_dir) for card in new):
        download(new, data_dir, source)
    for card in cards:
        dataset = load(card, data_dir, cache_dir, source)
        sizes = ", ".join(f"{value:,} {key[4:]}" for key, value in dataset.statistics.items())
        path = cache.path_of(card, cache_dir)
        ready = f"{card.name} is ready: {sizes} ({_size(path.stat().st_size)} in {path.parent})"
        is_own = not card._target_.startswith("gbench.") or card.is_own_folder
        if is_own:  # of the others `info` tells as much
            yield f"{card.name}  {card.task}, {card.metric}, split {card.split}"
            yield from _aligned({f"  {key}": text for key, text in dataset.told.items()})
            yield from (f"  note: {note}" for note in dataset.notes)
        yield ready


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
        **_splits(card),
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
        "cached": _told_cached(card, cache_dir),
    }
    if card.is_own_folder:  # which is soon prepared
        from gbench.data.load import load

        load(card, data_dir, cache_dir)
    said = cache.described(cache.path_of(card, cache_dir)) if _is_ready(card, cache_dir) else {}
    notes = {f"note {i + 1}": text for i, text in enumerate(said.get("notes", ()))}
    return "\n".join(_aligned(rows | said.get("told", {}) | notes))


def _told_cached(card: DataCard, cache_dir: Path) -> str:
    """How much is kept of a dataset, and each encoding and whatever else was made of it."""
    folder = cache.folder_of(card.name, cache_dir)
    files = [f"{what}  {_size(size)}" for what, size in _derived(folder)]
    return "\n".join([f"{_size(_cached(card.name, cache_dir))} in {folder}", *files])


def _splits(card: DataCard) -> dict[str, str]:
    told = [f"{name}: {text}" if text else name for name, text in meanings(card).items()]
    return {"splits": "\n".join(told)} if card.splits or told != [card.split] else {}


def _aligned(rows: Mapping[str, str]) -> list[str]:
    width = max(map(len, rows), default=0)
    below = f"\n{'':{width}}  "  # of a value of several lines
    return [f"{key:{width}}  " + value.replace("\n", below) for key, value in rows.items()]


def _is_ready(card: DataCard, cache_dir: Path) -> bool:
    try:
        return cache.path_of(card, cache_dir).exists()
    except UserError:  # its loader cannot be imported
        return False


class Row(NamedTuple):
    """One line of `gbench data list`."""

    name: str
    level: str = ""
    split: str = ""
    metric: str = ""
    graphs: str = ""
    nodes: str = ""
    edges: str = ""
    features: str = ""
    outputs: str = ""
    state: str = ""
    raw: str = ""
    derived: str = ""


HEADER = Row("data", *Row._fields[1:])
NUMBERS = ("graphs", "nodes", "edges", "features", "outputs", "raw", "derived")


def listing(config_dirs: Sequence[Path], data_dir: Path, cache_dir: Path) -> str:
    """Every dataset with its protocol, its sizes and its files, as an aligned table.

    What is derived from a dataset stands below it, one line for each file.
    """
    found = choices("data", config_dirs)
    rows = [HEADER]
    for name in sorted({*found, *_with_cache(cache_dir)}):
        rows.append(_row(name, found, config_dirs, data_dir, cache_dir))
        rows += [
            Row(f"  {what}", derived=_size(size))
            for what, size in _derived(cache.folder_of(name, cache_dir))
        ]
    # what a derived file is may be long, and says nothing in the other columns
    shown = [[row for row in rows if i or not row.name.startswith(" ")] for i in range(len(HEADER))]
    widths = [max(len(row[i]) for row in column) for i, column in enumerate(shown)]
    return "\n".join(map(partial(_line, widths=widths), rows))


def _line(row: Row, widths: Sequence[int]) -> str:
    if row.name.startswith(" "):
        return f"{row.name:{sum(widths) + 2 * len(widths) - 2 - len(row.derived)}}{row.derived}"
    cells = zip(Row._fields, row, widths, strict=True)
    return "  ".join(
        f"{cell:>{width}}" if field in NUMBERS else f"{cell:{width}}"
        for field, cell, width in cells
    ).rstrip()


def _row(
    name: str,
    found: Mapping[str, Path],
    config_dirs: Sequence[Path],
    data_dir: Path,
    cache_dir: Path,
) -> Row:
    stated = read_yaml(found[name]) if name in found else {}
    if names := stated.get("names"):
        level, split, metric = stated["level"], stated["split"], stated["metric"]
        return Row(name, level, split, metric, state=f"{len(names)} datasets: data.name=")
    try:
        card = _card(name, found[name], stated) if stated else card_of(name, config_dirs)
    except UserError:
        return Row(name, state="a folder of your own" if name not in found else "faulty YAML")
    raw_size = named.num_bytes(card, data_dir)
    others = f" +{len(card.splits) - 1}" if len(card.splits) > 1 else ""
    sizes = {key.removeprefix("num_"): f"{value:,}" for key, value in card.statistics.items()}
    return Row(
        name,
        card.level,
        card.split + others,
        card.metric,
        outputs=sizes.get("classes", sizes.get("tasks", "")),
        state=_state(card, data_dir, cache_dir),
        raw=_size(raw_size) if raw_size else "",
        **{key: sizes.get(key, "") for key in ("graphs", "nodes", "edges", "features")},
    )


def _with_cache(cache_dir: Path) -> list[str]:
    return [path.name for path in cache.folder_of("", cache_dir).glob("*") if path.is_dir()]


def _derived(folder: Path) -> Iterator[tuple[str, int]]:
    """What each derived file in a folder is, by the note beside it, and its size."""
    paths = [path for path in sorted(folder.glob("*")) if path.suffix not in (".json", ".lock")]
    superseded = cache.superseded(paths)
    for path in paths:
        note = ", superseded: no run reads it" if path in superseded else ""
        yield cache.description(path) + note, path.stat().st_size


def clean(names: Sequence[str], cache_dir: Path) -> str:
    """Remove derived files, never raw ones, and say how much that freed. `all` means all of them.

    Raises UserError for a name under which nothing is cached and no dataset exists.
    """
    freed = 0
    for name, size in to_clean(names, cache_dir).items():
        freed += size
        shutil.rmtree(cache.folder_of(name, cache_dir), ignore_errors=True)
    return f"freed {_size(freed)} in {cache.folder_of('', cache_dir)}; raw files are untouched"


def to_clean(names: Sequence[str], cache_dir: Path) -> dict[str, int]:
    """The datasets that `clean` would free, with their bytes."""
    there = _with_cache(cache_dir)
    chosen = sorted(there) if "all" in names else names
    for name in chosen:
        if name not in there and name not in choices("data"):
            raise unknown("dataset", name, [*choices("data"), *there, "all"])
    return {name: _cached(name, cache_dir) for name in chosen}


def told(sizes: Mapping[str, int], cache_dir: Path) -> str:
    """The question before `clean`."""
    names = ", ".join(sizes) or "no dataset"
    total, root = _size(sum(sizes.values())), cache.folder_of("", cache_dir)
    return f"remove what was derived from {names}, {total} in {root}?"


def about(name: str, config_dirs: Sequence[Path] = ()) -> str:
    """The line that a dataset's YAML opens with."""
    return description(_yaml_of("folder" if is_path(name) else name, config_dirs))


def _state(card: DataCard, data_dir: Path, cache_dir: Path) -> str:
    if not card.folder:
        return "data.path=FOLDER" if "path" in card.options else "needs no files"
    try:
        if cache.path_of(card, cache_dir).exists():
            return "ready"
    except UserError:
        return "loader cannot be imported"
    return "raw files missing" if named.state(card, data_dir) is None else "raw files there"


def _cached(name: str, cache_dir: Path) -> int:
    """Bytes of everything derived from a dataset."""
    folder = cache.folder_of(name, cache_dir)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"
