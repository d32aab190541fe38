"""Limits of control groups, from files as Linux writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gbench import parallel
from gbench.quota import quota


def found(tmp_path: Path, cgroup: str, files: dict[str, str]) -> float | None:
    proc, mounted = tmp_path / "cgroup", tmp_path / "sys"
    proc.write_text(cgroup)
    for name, text in files.items():
        path = mounted / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return quota(proc, mounted)


@pytest.mark.parametrize(
    ("cgroup", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/job/step\n", {"job/step/cpu.max": "max 100000\n", "job/cpu.max": "5 10\n"}, 0.5),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, 2.0),
        ("0::/system.slice/docker-1.scope\n", {"cpu.max": "300000 100000\n"}, 3.0),
        (
            "5:memory:/m\n4:cpu,cpuacct:/docker/1\n0::/\n",
            {
                "cpu,cpuacct/docker/1/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            "4:cpu:/docker/1\n",
            {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "50000\n"},
            4.0,
        ),
        (
            "4:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            None,
        ),
        ("4:cpuset:/x\n", {"cpuset/x/cpu.max": "1 1\n"}, None),
        ("", {}, None),
    ],
)
def test_the_smallest_limit_counts(
    tmp_path: Path, cgroup: str, files: dict[str, str], cores: float | None
) -> None:
    assert found(tmp_path, cgroup, files) == cores


def test_where_there_are_no_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert quota(tmp_path / "none", tmp_path) is None


@pytest.mark.parametrize(
    ("limit", "cores"), [(None, 4), (0.5, 1), (1.9, 1), (2.0, 2), (3.5, 3), (64.0, 4)]
)
def test_cores_are_those_that_the_limit_feeds(
    monkeypatch: pytest.MonkeyPatch, limit: float | None, cores: int
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(parallel, "quota", lambda: limit)
    assert parallel.num_cores() == cores
    assert (parallel.limited_to() is None) == (cores == 4)


@pytest.mark.parametrize("given", ["", "4"])
def test_threads_follow_the_limit_unless_they_are_given(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    import torch

    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(parallel, "quota", lambda: 3.0)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        parallel.keep_to_limit()
        assert torch.get_num_threads() == (4 if given else 3)
    finally:
        torch.set_num_threads(before)
