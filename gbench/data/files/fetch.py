"""One file from a server: kept when the connection ends, and continued from there.

What has come of `NAME` lies in `.NAME.partial`, and which version of the remote file it is a part
of in `.NAME.partial.from`. The partial file is the lock as well: a process that dies lets go of it.

pooch (1.9) verifies and shows progress too, but it begins a broken download again from its first
byte, leaves what a killed one has brought lying under a random name, and two processes fetch the
same file twice.
"""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from gbench import __version__
from gbench.folders import sync_folder
from gbench.locks import take

CHUNK = 1 << 20
TIMEOUT = 30  # seconds without a byte
LOOK_AGAIN = 0.1  # seconds, while another process has the file

Report = Callable[[int, int | None], None]  # bytes so far, bytes in all where that is known


@contextmanager
def claimed(path: Path, check: Callable[[], None]) -> Iterator[FileIO]:
    """The partial file of `path`, for this process alone; `finish` gives it its name.

    Waits for another process that has it, and meanwhile calls `check`, which may raise. A partial
    file that cannot be continued is removed, and so are folders that were made for nothing.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    part = _partial(path)
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        # unbuffered: a disk that is full is noticed by the write that it refuses
        with part.open("a+b", buffering=0) as file:
            while not take(file):
                check()
                time.sleep(LOOK_AGAIN)
            if not _is_at(file, part):  # who had it before has finished or removed it
                continue
            try:
                yield file
            finally:
                note = _note(path)
                if _is_at(file, part) and not (note.exists() and file.seek(0, os.SEEK_END)):
                    part.unlink()
                    note.unlink(missing_ok=True)
                for folder in made:
                    with suppress(OSError):  # it is not empty
                        folder.rmdir()
            return


def finish(file: FileIO, path: Path) -> None:
    """Make the claimed partial file the file at `path`, to survive a power cut."""
    os.fsync(file.fileno())
    _partial(path).replace(path)
    _note(path).unlink(missing_ok=True)
    sync_folder(path.parent)


def fetch(url: str, file: FileIO, path: Path, is_verifiable: bool, report: Report) -> bool:
    """Bring the claimed partial file of `path` up to the whole remote file.

    Continues what came before, after a dropped connection too, if the server says that its file is
    still the same, and only where the result can be verified. Returns whether it was put together
    so. Raises EOFError, OSError or http.client.HTTPException when the rest cannot be had.
    """
    longest = file.seek(0, os.SEEK_END)
    while True:
        try:
            return _attempt(url, file, _note(path), is_verifiable, report) > 0
        except (OSError, EOFError, http.client.HTTPException):
            size = file.seek(0, os.SEEK_END)
            if size <= longest:  # no progress
                raise
            longest = size


def write(file: FileIO, chunk: bytes) -> None:
    """Write all of `chunk` to an unbuffered file."""
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def _attempt(url: str, file: FileIO, note: Path, is_verifiable: bool, report: Report) -> int:
    """Fetch what is missing over one connection; return how many bytes were there already."""
    start = file.seek(0, os.SEEK_END)
    version = _version_in(note, url) if start else ""
    headers = {"User-Agent": f"gbench/{__version__}"}
    if version:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not version:
            raise
        if error.headers.get("Content-Range") == f"bytes */{start}":
            return start  # all of it had come
        _forget(file, note)
        return _attempt(url, file, note, is_verifiable, report)
    with response:
        if response.headers.get("Content-Range", "").startswith(f"bytes {start}-") and version:
            size = start
        else:  # a server without ranges, or a file that has changed
            _forget(file, note)
            start = size = 0
            if is_verifiable:
                _keep_version(note, url, response.headers)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        report(size, total)
        while chunk := response.read1(CHUNK):
            write(file, chunk)
            size += len(chunk)
            report(size, total)
    if total is not None and size != total:
        raise EOFError(f"the connection ended after {size:,} of {total:,} bytes")
    return start


def _keep_version(note: Path, url: str, headers: http.client.HTTPMessage) -> None:
    """Remember what a server needs to be told to continue; weak tags do not promise the bytes."""
    tag = headers.get("ETag", "")
    version = headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
    if version and headers.get("Accept-Ranges") != "none":
        note.write_text(f"{url}\n{version}\n")


def _version_in(note: Path, url: str) -> str:
    try:
        address, version = note.read_text().splitlines()
    except (OSError, ValueError):
        return ""
    return version if address == url else ""


def _forget(file: FileIO, note: Path) -> None:
    file.truncate(0)
    note.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial.from")


def _is_at(file: FileIO, path: Path) -> bool:
    """Whether this open file is the one that lies at `path` now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
