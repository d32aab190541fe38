"""A folder of runs on a file system that has no locks."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gbench.errors import UserError
from gbench.records.folder import claimed


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    told = "No locks available.*choose another with runs_dir="
    with pytest.raises(UserError, match=told), claimed(tmp_path / "run"):
        pass
