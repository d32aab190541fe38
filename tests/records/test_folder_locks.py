"""A folder of runs: on a file system that has no locks, and asked for a run it has not."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gbench.errors import UserError
from gbench.records.folder import claimed, find


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    told = "No locks available.*choose another with runs_dir="
    with pytest.raises(UserError, match=told), claimed(tmp_path / "run"):
        pass


def test_of_many_runs_the_nearest_is_told_and_how_many_are_not_listed(tmp_path: Path) -> None:
    for seed in range(25):
        (tmp_path / f"texas-gcn-0a1b-s{seed}").mkdir()
        (tmp_path / f"texas-gcn-0a1b-s{seed}" / "config.yaml").touch()
    with pytest.raises(UserError, match=r"did you mean 'texas-gcn-0a1b-s24'.*and 15 more") as told:
        find("texas-gnc-0a1b-s24", tmp_path)
    assert str(told.value).count("texas-gcn") == 11
