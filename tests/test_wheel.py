"""The wheel holds configs and kernels, and works from any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns(".*", "runs", "build", "dist", "*.egg-info", "__pycache__")
    for name in ("gbench", "conf", "kernels", "pyproject.toml", "README.md"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(path, source / name)
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", out, source],
        check=True,
    )
    (built,) = out.glob("gbench-*.whl")
    return built


def test_the_wheel_holds_every_config_and_kernel_as_files(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("conf", "kernels"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yaml", ".py"):
                assert f"gbench/{path.relative_to(ROOT)}" in names
    assert not any(name.split("/")[0] in ("conf", "kernels", "tests") for name in names)


def test_an_installed_wheel_trains_an_epoch_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    """Installed beside the test environment's packages, in front of the checkout."""
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "-t", site, wheel],
        check=True,
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    env = {**os.environ, "PYTHONPATH": str(site)}
    where = subprocess.run(
        [sys.executable, "-c", "import gbench; print(gbench.__file__)"],
        cwd=elsewhere, env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(site)
    answer = subprocess.run(
        [site / "bin" / "gbench", "train", "model=gin", "data=csl", "trainer.max_epochs=1"],
        cwd=elsewhere, env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert list(elsewhere.glob("runs/csl-gin-*/record.json"))
    page = subprocess.run(
        [site / "bin" / "gbench", "leaderboard", "data=cora", "--format", "html"],
        cwd=elsewhere, env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert "Kipf and Welling" in page.stdout, page.stderr  # the published rows
    assert "<style>" in page.stdout and "<script>" in page.stdout
