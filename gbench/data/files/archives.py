"""Named files out of a .zip or .tar. Nothing is ever unpacked to where the archive says."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import IO, cast

# What reading a damaged (or encrypted) archive raises, besides OSError.
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
)

Members = Mapping[str, Callable[[], IO[bytes]]]


@contextmanager
def members(file: IO[bytes]) -> Iterator[Members]:
    """The regular files in an archive by name, each as a function that opens it.

    Links and devices in a .tar are not among them. Raises one of `DAMAGE`.
    """
    file.seek(0)
    is_zip = file.read(2) == b"PK"  # zipfile.is_zipfile takes a .tar that ends in a .zip for one
    file.seek(0)
    if is_zip:
        with zipfile.ZipFile(file) as archive:
            yield {
                _plain(info.filename): partial(archive.open, info)
                for info in archive.infolist()
                if not info.is_dir()
            }
        return
    with tarfile.open(fileobj=file) as tar:
        yield {
            _plain(info.name): cast("Callable[[], IO[bytes]]", partial(tar.extractfile, info))
            for info in tar
            if info.isreg()
        }


def find(archive: Members, name: str, inside: str) -> Callable[[], IO[bytes]]:
    """The member that is `name` in the folder `inside`, or in the only folder that has it.

    Raises ValueError when there is none, or several.
    """
    if opener := archive.get(_plain(f"{inside}/{name}" if inside else name)):
        return opener
    wanted = PurePosixPath(name).parts
    found = [other for other in archive if PurePosixPath(other).parts[-len(wanted) :] == wanted]
    if len(found) == 1:
        return archive[found[0]]
    if found:
        raise ValueError(f"it has several files '{name}': {', '.join(sorted(found))}")
    some = ", ".join(sorted(archive)[:5]) or "nothing"
    raise ValueError(f"there is no item named '{name}' in it, but {some}")


def _plain(name: str) -> str:
    return str(PurePosixPath(name))
