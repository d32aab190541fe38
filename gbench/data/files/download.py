"""Fetch raw files, several at once with one display; none gets its name before it is verified."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gbench.choices import choices, read_yaml
from gbench.data.files import archives, fetch, named
from gbench.data.files.supply import Supply, is_remote, supplies
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.processes import helps_another_process

if TYPE_CHECKING:
    from rich.progress import Progress

AT_ONCE = 4
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


class _Stopped(Exception):
    """Another download has failed, or the user has had enough."""


def download(cards: Sequence[DataCard], data_dir: Path, source: str = "") -> None:
    """Bring all raw files that are missing of some datasets, from `source` where one is given.

    Raises UserError when one cannot be had; what came of the others by then is kept.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from gbench.console import console as usual_console

    console, stop = usual_console(quiet=helps_another_process()), threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        jobs: list[_Job] = []
        for card in cards:
            folder, absent = data_dir / card.folder, named.missing(card, data_dir)
            wanted = supplies(card, absent, source)
            jobs += [_Job(card, folder, supply, progress, stop) for supply in wanted]
            if absent:
                _say(progress, f"fetching {card.name} to {folder}")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            futures = [pool.submit(job.run) for job in jobs]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)
    faults = [future.exception() for future in futures if not future.cancelled()]
    for fault in faults:
        if fault is not None and not isinstance(fault, _Stopped):
            raise fault


@dataclass(frozen=True)
class _Job:
    """One file, or one archive with the files wanted from it."""

    card: DataCard
    folder: Path
    supply: Supply
    progress: Progress
    stop: threading.Event

    def run(self) -> None:
        """Put the files in their places; raise UserError with what to do when that fails."""
        try:
            if self.supply.is_archive:
                self._unpack_archive()
            else:
                self._bring_file(*self.supply.files)
        except (OSError, ValueError, http.client.HTTPException, *archives.DAMAGE) as error:
            raise self._fault(error) from error

    def _bring_file(self, name: str) -> None:
        with self._claimed(name) as file:
            if not self._absent():
                return
            if is_remote(self.supply.place):
                official = self.supply.files[name]
                settle = partial(self._settle, file, name)
                self._fetch_and(settle, file, name, is_verifiable=official is not None)
            else:
                with _readable(self.supply.place) as original:
                    self._copy(original, file)
                self._settle(file, name)

    def _unpack_archive(self) -> None:
        if not is_remote(self.supply.place):
            with _readable(self.supply.place) as file:
                self._unpack(file)
            return
        with self._claimed(self.supply.name) as file:
            if self._absent():
                unpack = partial(self._unpack, file)
                self._fetch_and(unpack, file, self.supply.name, is_verifiable=True)
            file.truncate(0)  # it is of no more use, and goes

    def _fetch_and(
        self, use: Callable[[], None], file: FileIO, name: str, is_verifiable: bool
    ) -> None:
        """Fetch, then `use`; what was put together from two attempts and is wrong comes anew."""
        task = self.progress.add_task(name, total=None)

        def report(size: int, total: int | None) -> None:
            self._check()
            self.progress.update(task, completed=size, total=total)

        path, place = self.folder / name, self.supply.place
        was_continued = fetch.fetch(place, file, path, is_verifiable, report)
        try:
            use()
        except (ValueError, *archives.DAMAGE):
            file.truncate(0)
            if not was_continued:
                raise
            fetch.fetch(place, file, path, is_verifiable, report)
            use()

    def _unpack(self, file: IO[bytes]) -> None:
        with archives.members(file) as archive:
            for name in self._absent():
                with (
                    archives.find(archive, name, self.supply.inside)() as member,
                    self._claimed(name) as out,
                ):
                    self._copy(member, out)
                    self._settle(out, name)

    def _copy(self, original: IO[bytes], file: FileIO) -> None:
        file.truncate(0)
        while chunk := original.read(fetch.CHUNK):
            self._check()
            fetch.write(file, chunk)

    def _settle(self, file: FileIO, name: str) -> None:
        """Give a file its name and say what it is; raise ValueError instead if it is not right."""
        official = self.supply.files[name]
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if official and found != official:
            raise ValueError(f"{name} came with sha256 {found}, expected {official}")
        if not official:
            self._note_sum(name, found)
        fetch.finish(file, self.folder / name)
        verdict = "verified" if official else "no official hash to compare with"
        _say(self.progress, f"{name}  {size:,} bytes  sha256 {found} ({verdict})")

    def _note_sum(self, name: str, found: str) -> None:
        with self._claimed(named.CAME_AS) as file:
            sums = named.known_sums(self.folder) | {name: found}
            file.truncate(0)
            text = "".join(f"{value}  {key}\n" for key, value in sorted(sums.items()))
            fetch.write(file, text.encode())
            fetch.finish(file, self.folder / named.CAME_AS)

    def _absent(self) -> list[str]:
        """What is wanted and, by now, nobody else has brought."""
        return [name for name in self.supply.files if not (self.folder / name).is_file()]

    def _claimed(self, name: str) -> AbstractContextManager[FileIO]:
        return fetch.claimed(self.folder / name, self._check)

    def _check(self) -> None:
        if self.stop.is_set():
            raise _Stopped

    def _fault(self, error: Exception) -> UserError:
        """One message that says what to do."""
        if isinstance(error, OSError) and error.errno in (*FULL, *CLOSED):
            room = "make room there, or " if error.errno in FULL else ""
            return UserError(
                f"cannot write {self.folder} ({error.strerror}): {room}choose another folder "
                f"with data_dir= or GBENCH_DATA; then `gbench data get {self.card.name}` again"
            )
        absent = [name for name in named.files(self.card) if not (self.folder / name).is_file()]
        urls = [
            part["url"] for part in self.card.download if not {*absent}.isdisjoint(part["files"])
        ]
        offline = [name for name, path in choices("data").items() if _is_generated(read_yaml(path))]
        return UserError(
            f"the raw files of '{self.card.name}' are missing and could not be had: {error}\n"
            f"  failed at  {self.supply.place}\n"
            f"  missing    {', '.join(absent)}\n"
            f"  belong in  {self.folder} (below data_dir; GBENCH_DATA sets it)\n"
            f"  come from  {', '.join(urls)}\n"
            "  or a copy  data.source=PLACE: an archive, a folder, or a mirror's URL\n"
            f"  without any download: {', '.join(f'data={name}' for name in offline)}"
        )


@contextmanager
def _readable(place: str) -> Iterator[IO[bytes]]:
    """A local file; one that cannot be read is no disk that cannot be written."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(place).open("rb"))
        except OSError as error:
            raise ValueError(f"cannot read {place} ({error.strerror})") from error
        yield file


def _is_generated(facts: Mapping[str, object]) -> bool:
    return not facts.get("folder") and "path" not in facts


def _say(progress: Progress, line: str) -> None:
    progress.console.print(line, highlight=False, soft_wrap=True)
