"""Raw files: find them below data_dir, download what is missing, verify them all."""

from __future__ import annotations

from pathlib import Path

from gbench.data.files import named
from gbench.data.spec import DataCard
from gbench.errors import UserError


def obtain(card: DataCard, data_dir: Path, source: str = "") -> Path:
    """The folder with the raw files, those missing fetched (from `source`), and all verified.

    Raises UserError when a file cannot be had or is not the published one.
    """
    card = named.at_hand(card, data_dir)
    folder = data_dir / card.folder
    is_own = card.is_own_folder
    if absent := named.missing(card, data_dir):
        if is_own:
            raise UserError(f"{folder} no longer has {', '.join(absent)}, which {card.name} is of")
        from gbench.data.files.download import download

        download([card], data_dir, source)
    came_as = named.known_sums(folder)
    for name, official in named.files(card).items():
        expected = official or came_as.get(name)
        if expected and (found := named.digest(folder / name)) != expected:
            if is_own:
                raise UserError(
                    f"{folder / name} has changed, and is {card.name} no more: what is trained on "
                    "it now is another dataset, by a new `gbench train`"
                )
            problem = "is not the published file" if official else "has changed since it came"
            raise UserError(
                f"{folder / name} {problem}: its sha256 is {found}, expected {expected}. "
                f"Delete it and run `gbench data get {card.name}`"
            )
    if card.folder and not folder.is_dir():
        raise UserError(f"dataset '{card.name}' needs the folder {folder}, which does not exist")
    return folder
