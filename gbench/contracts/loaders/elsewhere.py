"""Load a dataset in a process of its own and print its fingerprint: see subject.py.

Folders are listed backwards here, as another file system may list them: sorted() undoes it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from gbench.contracts.loaders.subject import Loader
from gbench.own_code import importing


def main() -> None:
    """Read the config from stdin."""
    asked = json.load(sys.stdin)
    importing.use(asked["config"]["config_dirs"])
    _list_backwards()
    print(Loader.of(asked["config"]).load(asked["seed"]).fingerprint)


class Backwards:
    """What os.scandir gives, the last entry first."""

    def __init__(self, entries: Iterable[os.DirEntry[Any]]) -> None:
        self.entries = iter([*entries][::-1])

    def __iter__(self) -> Backwards:
        return self

    def __next__(self) -> os.DirEntry[Any]:
        return next(self.entries)

    def __enter__(self) -> Backwards:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """All entries are read."""


def _list_backwards() -> None:
    """What os.listdir and os.scandir give, and os.walk, pathlib and glob by them."""
    listdir, scandir = os.listdir, os.scandir
    names: Any = os
    names.listdir = lambda *args: listdir(*args)[::-1]
    names.scandir = lambda *args: Backwards(scandir(*args))


if __name__ == "__main__":
    main()
