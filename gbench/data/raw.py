"""Raw files: find them below data_dir, verify them, download what is missing.

A card's `download` lists parts. Each has a `url`, the folder on a server or a .zip, and `files`,
the names below the card's `folder` with their SHA-256 (null where no official one is known).
`inside` is the folder within the .zip that holds them. Nothing else is ever taken out of an
archive, so that no name in it can point elsewhere.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gbench.choices import choices, read_yaml
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.folders import written_whole

if TYPE_CHECKING:
    from rich.progress import Progress

State = dict[str, list[int]]  # size and modification time (ns) of each raw file
CHUNK = 1 << 20
TIMEOUT = 30  # seconds without a byte


def files(card: DataCard) -> dict[str, str | None]:
    """Every raw file that the card names, with its SHA-256 where one is known."""
    return {name: digest for part in card.download for name, digest in part["files"].items()}


def missing(card: DataCard, data_dir: Path) -> list[str]:
    """The raw files that are not there."""
    return [name for name in files(card) if not (data_dir / card.folder / name).is_file()]


def state(card: DataCard, data_dir: Path) -> State | None:
    """Size and time of every raw file, to notice a change; None when some are not there."""
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


def obtain(card: DataCard, data_dir: Path) -> Path:
    """The folder with the raw files, downloaded where they are missing and all verified.

    Raises UserError when a file cannot be had or is not the published one.
    """
    folder = data_dir / card.folder
    if missing(card, data_dir):
        _download(card, data_dir)
    for name, expected in files(card).items():
        if expected and (found := _digest(folder / name)) != expected:
            raise UserError(
                f"{folder / name} is not the published file: its sha256 is {found}, expected "
                f"{expected}. Delete it and run `gbench data get {card.name}`"
            )
    if card.folder and not folder.is_dir():
        raise UserError(f"dataset '{card.name}' needs the folder {folder}, which does not exist")
    return folder


def _download(card: DataCard, data_dir: Path) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    absent, folder = missing(card, data_dir), data_dir / card.folder
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    console.print(f"downloading {card.name} to {folder}", highlight=False, soft_wrap=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        for part in card.download:
            wanted = {name: part["files"][name] for name in part["files"] if name in absent}
            if not wanted:
                continue
            with _explained(card, folder, part):
                if part["url"].endswith(".zip"):
                    _fetch_archive(part, wanted, folder, progress)
                else:
                    for name, expected in wanted.items():
                        with written_whole(folder / name) as file:
                            _fetch(f"{part['url']}/{name}", file, progress)
                            _verify(file, name, expected, progress)


def _fetch_archive(
    part: Mapping[str, Any], wanted: Mapping[str, str | None], folder: Path, progress: Progress
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as archive_file:
        _fetch(part["url"], archive_file, progress)
        with zipfile.ZipFile(archive_file) as archive:
            for name, expected in wanted.items():
                inside = f"{part['inside']}/{name}" if part.get("inside") else name
                with archive.open(inside) as member, written_whole(folder / name) as file:
                    shutil.copyfileobj(member, file, CHUNK)
                    _verify(file, name, expected, progress)


def _fetch(url: str, file: IO[bytes], progress: Progress) -> None:
    """Copy a URL into `file`, and make sure that all of it came."""
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        length = response.headers.get("Content-Length")
        size = int(length) if length else None
        task = progress.add_task(url.rpartition("/")[2], total=size)
        while chunk := response.read(CHUNK):
            file.write(chunk)
            progress.update(task, advance=len(chunk))
    if size is not None and file.tell() != size:
        raise EOFError(f"the connection ended after {file.tell():,} of {size:,} bytes")


def _verify(file: IO[bytes], name: str, expected: str | None, progress: Progress) -> None:
    """Say what came; raise ValueError, so that the file never gets its name, if it is not right."""
    file.flush()
    found = _digest(Path(file.name))
    if expected and found != expected:
        raise ValueError(f"{name} came with sha256 {found}, expected {expected}")
    verdict = "verified" if expected else "no official hash to compare with"
    progress.console.print(
        f"{name}  {file.tell():,} bytes  sha256 {found} ({verdict})",
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _explained(card: DataCard, folder: Path, part: Mapping[str, Any]) -> Iterator[None]:
    """Turn whatever ends a download into one message that says what to do."""
    try:
        yield
    except (
        OSError, EOFError, KeyError, ValueError, http.client.HTTPException, zipfile.BadZipFile
    ) as error:  # fmt: skip
        raise _unavailable(card, folder, part, error) from error


def _unavailable(
    card: DataCard, folder: Path, part: Mapping[str, Any], error: Exception
) -> UserError:
    offline = [name for name, path in choices("data").items() if not read_yaml(path).get("folder")]
    names = [name for name in part["files"] if not (folder / name).is_file()]
    return UserError(
        f"the raw files of '{card.name}' are missing and could not be downloaded: {error}\n"
        f"  missing    {', '.join(names)}\n"
        f"  belong in  {folder} (below data_dir; GBENCH_DATA sets it)\n"
        f"  come from  {part['url']}\n"
        f"  without any download: {', '.join(f'data={name}' for name in offline)}"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
