"""What a run ran on: device, versions, git commit. All of it goes into the record."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING

from gbench import __version__

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "torch-geometric", "lightning", "hydra-core", "ogb", "numba", "wandb")


def versions(others: Sequence[str] = ()) -> dict[str, str]:
    """gbench, Python and the packages that a result may depend on, `others` among them."""
    found = {"gbench": __version__, "python": platform.python_version()}
    for package in (*PACKAGES, *others):
        try:
            found[package] = _version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


@cache
def _version(package: str) -> str:
    """As it was when first asked for: what is imported does not change with its metadata."""
    return version(package)


@cache
def git_state() -> dict[str, str | bool] | None:
    """Commit of the checkout that gbench runs from, and whether it was changed, when first asked.

    Installed from a repository's address it is the commit that pip noted; None elsewhere.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return _installed_commit()
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _installed_commit() -> dict[str, str | bool] | None:
    try:  # PEP 610
        noted = json.loads(distribution("gbench").read_text("direct_url.json") or "{}")
        return {"commit": str(noted["vcs_info"]["commit_id"]), "dirty": False}
    except (PackageNotFoundError, ValueError, KeyError, TypeError, OSError):
        return None


def _git(root: Path, *arguments: str) -> str:
    answer = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return answer.stdout.strip()


def device_name(device: torch.device) -> str:
    """The GPU's name, or the CPU's with the number of threads."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{cpu_name()}, {torch.get_num_threads()} threads"


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
