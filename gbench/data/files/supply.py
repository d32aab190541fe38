"""Where the raw files of a card come from: its official URLs, or what `data.source` names instead.

`data.source` is an archive, a folder (its files, its archives, or the layout below data_dir), or
the URL of an archive or of a mirror with the official names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from gbench.data.spec import DataCard
from gbench.errors import UserError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class Supply(NamedTuple):
    """One thing to fetch: a file, or an archive with several."""

    place: str  # a URL or a path
    files: dict[str, str | None]  # names below the card's folder, and their official SHA-256
    inside: str = ""  # the folder in the archive

    @property
    def name(self) -> str:
        """The last part of the place, such as hiv.zip."""
        path = urlsplit(self.place).path if is_remote(self.place) else self.place
        return unquote(PurePosixPath(path).name)

    @property
    def is_archive(self) -> bool:
        return is_archive(self.name)


def is_archive(name: str) -> bool:
    """Whether a file is an archive by its name."""
    return name.lower().endswith(ARCHIVES)


def is_remote(place: str) -> bool:
    """Whether a place is an address on a server."""
    return place.startswith(("http://", "https://"))


def checked_place(source: str) -> str:
    """A place that a user named, made absolute; raise UserError when there is no such thing."""
    if not source or is_remote(source):
        return source
    path = Path(source).expanduser().absolute()
    if not path.exists():
        raise UserError(
            f"data.source={source}: there is no such archive or folder (a mirror's address begins "
            "with http:// or https://)"
        )
    return str(path)


def supplies(card: DataCard, names: Collection[str], source: str = "") -> Iterator[Supply]:
    """What to fetch for the raw files `names` of a card, an archive once for each part that it has.

    Raises UserError when `source` is a local place that lacks one of them.
    """
    for part in card.download:
        files = {name: digest for name, digest in part["files"].items() if name in names}
        if not files:
            continue
        official = Supply(part["url"], files, part.get("inside") or "")
        if not source:
            yield from _of_server(official)
        elif not is_remote(source):
            yield from _of_folder(card, official, Path(source))
        elif is_archive(urlsplit(source).path):
            yield Supply(source, files)
        elif official.is_archive:
            yield official._replace(place=f"{source.rstrip('/')}/{quote(official.name)}")
        else:
            yield from _of_server(official._replace(place=source))


def _of_server(supply: Supply) -> Iterator[Supply]:
    if supply.is_archive:
        yield supply
        return
    for name, digest in supply.files.items():
        is_itself = supply.name == PurePosixPath(name).name
        place = supply.place if is_itself else f"{supply.place.rstrip('/')}/{quote(name)}"
        yield Supply(place, {name: digest})


def _of_folder(card: DataCard, official: Supply, source: Path) -> Iterator[Supply]:
    if source.is_file():
        if is_archive(source.name):
            yield Supply(str(source), official.files)
            return
        places = {source.name: source}
    else:
        places = {
            name: folder / name
            for folder in (source / card.folder, source)
            for name in official.files
            if (folder / name).is_file()
        }
    rest = {name: digest for name, digest in official.files.items() if name not in places}
    for name in official.files.keys() - rest.keys():
        yield Supply(str(places[name]), {name: official.files[name]})
    if rest:
        archive = source / official.name
        if not (official.is_archive and archive.is_file()):
            instead = f", nor {official.name} that has them" if official.is_archive else ""
            raise UserError(f"data.source={source} has no {', '.join(rest)}{instead}")
        yield Supply(str(archive), rest, official.inside)
