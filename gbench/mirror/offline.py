"""What `logger=wandb` left on disk while nobody was logged in, and its way to the server.

The upload is wandb's own `wandb sync`, which marks a file that it has uploaded. What a killed run
left has to be mended first: its last entry may be cut, over which `wandb sync` never gets done,
sending all of it again each time; or it may end as if the run had finished, which wandb's helping
process writes when its run is gone. A file without an end is a run that failed.
"""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gbench.records import folder as runfolder

# The file is a LevelDB log: a header of 7 bytes, then blocks of 32 KiB that hold fragments, each
# with a checksum (4 bytes), a length (2) and a type (1): 1 is a whole entry; 2, 3 and 4 are the
# first, middle and last part of one. Where no fragment's header fits, a block is padded.
_FILE_HEADER, _HEADER, _BLOCK = 7, 7, 1 << 15
_WHOLE, _FIRST, _LAST = 1, 2, 4

# An entry is a protocol buffer, whose numbers never change: a record's end, and its exit code.
_END, _CODE = 18, 1

_AT_REST_SECONDS = 3.0
_FILES_AT_ONCE = 200  # of one command, whose length has a limit


def unsent(folder: Path) -> list[Path]:
    """The files of a run that were not uploaded yet, first one first."""
    files = folder.glob("wandb/offline-run-*/*.wandb")
    return sorted(file for file in files if not _mark(file).exists())


def upload(folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Upload what these runs have left; each with what went wrong, which is "" if nothing did.

    A run that was killed ends in wandb as failed, unless it was continued since.
    """
    waiting: list[tuple[Path, Path]] = []
    for folder in folders:
        if runfolder.in_training(folder):
            yield folder, "is being trained: gbench sync when it has finished"
            continue
        files = unsent(folder)
        for file in files:
            _wait_for_writer(file)
            ended_well = file != files[-1] or (folder / runfolder.RECORD).exists()
            mend(file, finished=ended_well)
        waiting += [(folder, file) for file in files]
    for start in range(0, len(waiting), _FILES_AT_ONCE):
        group = waiting[start : start + _FILES_AT_ONCE]
        said = _wandb_sync([file for _, file in group])
        for folder in dict.fromkeys(folder for folder, _ in group):
            failed = [file for owner, file in group if owner == folder and not _mark(file).exists()]
            yield folder, _reason(said, failed[0]) if failed else ""


def mend(file: Path, *, finished: bool) -> None:
    """Cut off an entry that its writer's death left unfinished, and a good end that is not true."""
    content = file.read_bytes()
    start, end, entry = _last(content)
    if not finished and _exit_code(entry) == 0:
        end = start
    if end < len(content):
        with file.open("r+b") as opened:
            opened.truncate(end)


def _entries(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where each whole entry begins and ends, and what it says."""
    at = start = _FILE_HEADER
    entry = b""
    while at + _HEADER <= len(content):
        room = _BLOCK - at % _BLOCK
        if room < _HEADER:
            at += room
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        payload = content[at + _HEADER : at + _HEADER + length]
        if len(payload) < length or not _WHOLE <= kind <= _LAST:
            return
        if kind in (_WHOLE, _FIRST):
            start, entry = at, b""
        entry += payload
        at += _HEADER + length
        if kind in (_WHOLE, _LAST):
            yield start, at, entry


def _last(content: bytes) -> tuple[int, int, bytes]:
    """Where the last whole entry begins and ends, and what it says."""
    last = _FILE_HEADER, _FILE_HEADER, b""
    for last in _entries(content):  # noqa: B007
        pass
    return last


def _exit_code(entry: bytes) -> int | None:
    """How the run ended, if the entry tells that: 0 is written as nothing."""
    end = dict(_fields(entry)).get(_END)
    return dict(_fields(end)).get(_CODE, 0) if isinstance(end, bytes) else None


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protocol buffer: an int, or bytes."""
    stream = io.BytesIO(message)
    while stream.tell() < len(message):
        key = _varint(stream)
        match key & 7:
            case 0:
                yield key >> 3, _varint(stream)
            case 2:
                yield key >> 3, stream.read(_varint(stream))
            case 1 | 5 as width:
                yield key >> 3, stream.read(8 if width == 1 else 4)
            case _:  # damaged, or of a kind that nobody writes any more
                return


def _varint(stream: io.BytesIO) -> int:
    """The whole number that comes next: seven bits a byte, the lowest first; signed, in 64 bits."""
    value = shift = 0
    for (byte,) in iter(lambda: stream.read(1), b""):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return value - (1 << 64) if value >> 63 else value


def _wait_for_writer(file: Path) -> None:
    """Let wandb's helping process, which outlives a run for a moment, write the end of it."""
    while (
        time.time() - file.stat().st_mtime < _AT_REST_SECONDS
        and _exit_code(_last(file.read_bytes())[2]) is None
    ):
        time.sleep(0.1)


def _wandb_sync(files: Sequence[Path]) -> str:
    """What wandb says of the upload; it does not tell by its exit code whether it failed."""
    words = [sys.executable, "-m", "wandb", "sync", *(str(file.absolute()) for file in files)]
    with tempfile.TemporaryDirectory() as folder:  # or its log would lie in the current folder
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "WANDB_SILENT": "false", "WANDB_DIR": folder},
        ).stdout


def _reason(said: str, file: Path) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line]
    own = [line for line in errors if file.parent.name in line]
    return (own or errors or lines or ["wandb sync says nothing"])[-1].removeprefix("wandb: ")


def _mark(file: Path) -> Path:
    """Where wandb notes that it has uploaded a file."""
    return file.with_suffix(".wandb.synced")
