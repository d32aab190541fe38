"""What a served page needs to know: whether the records changed, and what is being trained."""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gbench.board.page.page import html
from gbench.board.tables import Table
from gbench.errors import UserError
from gbench.records import find as store
from gbench.records.folder import in_training
from gbench.records.record import FILE_NAME

_LOOK_EVERY = 1.0  # seconds, however many pages ask
_REST = 10  # times as long as the last page took: what it costs to serve beside a training


class Live:
    """The page of some runs folders, made anew only when a record has come, gone or changed."""

    def __init__(
        self, runs_dirs: Sequence[str], load: Callable[[], tuple[list[Table], list[str]]]
    ) -> None:
        self._runs_dirs = runs_dirs
        self._load = load  # the tables, and what to say beside them
        self._lock = threading.RLock()
        # a browser must not take the page of another server at this port for ours
        self._salt = secrets.token_hex(8)
        self._looked = -math.inf
        self._due = -math.inf
        self._version = ""
        self._running: list[str] = []
        self._made = ("", "")

    def state(self) -> tuple[str, list[str]]:
        """The version of the page that can be had now, and the names of the runs in training."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= _LOOK_EVERY:
                self._look()
                self._looked = time.monotonic()
            return self._version if now >= self._due else self._made[0], self._running

    def page(self) -> tuple[str, str]:
        """The page and its version."""
        with self._lock:
            version, _ = self.state()
            if version != self._made[0]:
                started = time.monotonic()
                try:
                    tables, notes = self._load()
                except UserError as error:  # no run yet, say
                    tables, notes = [], [str(error)]
                self._made = version, html(tables, self._runs_dirs, notes, version)
                ended = time.monotonic()
                self._due = ended + _REST * (ended - started)
            return self._made

    def _look(self) -> None:
        seen = hashlib.sha256(self._salt.encode())
        self._running = []
        try:
            folders = store.run_folders(self._runs_dirs)
        except UserError as error:
            folders = []
            seen.update(str(error).encode())
        for folder in folders:
            try:
                file = os.stat(f"{folder}/{FILE_NAME}")  # noqa: PTH116 - half the time, of 10,000
            except OSError:
                path = Path(folder)
                if in_training(path):
                    self._running.append(path.name)
                continue
            seen.update(os.fsencode(folder))
            seen.update(f"\n{file.st_mtime_ns} {file.st_size} {file.st_ino}\n".encode())
        self._version = seen.hexdigest()[:16]
