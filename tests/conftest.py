"""Fixtures that every test may use. No test touches the user's own folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real datasets, from GBENCH_DATA; the test skips without one."""
    folder = REAL_DATA
    if folder is None or not folder.is_dir():
        reason = "needs the real datasets: set GBENCH_DATA to their folder"
        if os.environ.get("GBENCH_REQUIRE_DATA"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Derived files of this session, so that each dataset is prepared once."""
    return Path(os.environ["GBENCH_CACHE"])


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Caches and home of this session; child processes inherit them."""
    root = tmp_path_factory.mktemp("session")
    os.environ["GBENCH_CACHE"] = str(root / "derived")
    os.environ["XDG_CACHE_HOME"] = str(root / "cache")
    os.environ.pop("GBENCH_DATA", None)


REAL_DATA = Path(os.environ["GBENCH_DATA"]).resolve() if os.environ.get("GBENCH_DATA") else None
