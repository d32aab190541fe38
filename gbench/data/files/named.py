"""The raw files that a card names: which they are, and what lies of them below data_dir.

A card's `download` lists parts. Each has a `url`, a folder on a server, an archive or the file
itself, and `files`, the names below the card's `folder` with their SHA-256 (null where no official
one is known). `inside` is the folder within the archive that holds them. A downloaded file without
an official hash must stay what it was when it came: `gbench.sha256` beside it says so. A folder of
the user's own has an empty `url`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from gbench.data.spec import DataCard

State = dict[str, list[int]]  # size and modification time (ns) of each raw file
CAME_AS = "gbench.sha256"  # what `sha256sum -c` reads


def files(card: DataCard) -> dict[str, str | None]:
    """Every raw file that the card names, with its SHA-256 where one is known."""
    return {name: digest for part in card.download for name, digest in part["files"].items()}


def at_hand(card: DataCard, data_dir: Path) -> DataCard:
    """The card, with the folder and files that it names otherwise where only those are there."""
    if not card.otherwise:
        return card
    other = replace(card, **card.otherwise, otherwise={})
    return other if _absent(card, data_dir) and not _absent(other, data_dir) else card


def missing(card: DataCard, data_dir: Path) -> list[str]:
    """The raw files that are not there."""
    return _absent(at_hand(card, data_dir), data_dir)


def _absent(card: DataCard, data_dir: Path) -> list[str]:
    return [name for name in files(card) if not (data_dir / card.folder / name).is_file()]


def state(card: DataCard, data_dir: Path) -> State | None:
    """Size and time of every raw file, to notice a change; None when some are not there."""
    card = at_hand(card, data_dir)
    folder = data_dir / card.folder
    if not card.folder:
        return {}
    names = list(files(card)) or sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )
    try:
        found = {name: (folder / name).stat() for name in names}
    except OSError:
        return None
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in found.items()} or None


def num_bytes(card: DataCard, data_dir: Path) -> int:
    """The size of the raw files that are there."""
    card = at_hand(card, data_dir)
    paths = (data_dir / card.folder / name for name in files(card))
    return sum(path.stat().st_size for path in paths if path.is_file())


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sums(folder: Path) -> dict[str, str]:
    """The SHA-256 that files without an official one came with."""
    try:
        lines = (folder / CAME_AS).read_text().splitlines()
    except OSError:
        return {}
    return {name: found for found, name in (line.split(maxsplit=1) for line in lines)}
