"""How many cores a container's limit leaves to this process."""

from __future__ import annotations

from pathlib import Path

PROC, MOUNTED = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def quota(proc: Path = PROC, mounted: Path = MOUNTED) -> float | None:
    """CPU time per time that Linux lets the process have, all its threads together; None: no limit.

    The smallest of its control groups and all above them, of both versions: cpu.max has "quota
    period" or "max period"; version 1 has cpu.cfs_quota_us, -1 for none, and cpu.cfs_period_us. In
    a container the process may be named by its place outside, and what is mounted is its own.
    """
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        number, controllers, place = line.split(":", 2)
        if number == "0" and not controllers:
            roots = [mounted, mounted / "unified"]
        elif "cpu" in controllers.split(","):
            roots = [mounted / controllers, mounted / "cpu"]
        else:
            continue
        inside = Path(place.lstrip("/"))
        for folder in (root / part for root in roots for part in (inside, *inside.parents)):
            limits += _of(folder)
    return min(limits, default=None)


def _of(folder: Path) -> list[float]:
    try:
        if (file := folder / "cpu.max").exists():
            words = file.read_text().split()
        else:
            words = [(folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
        quota, period = (float(word) for word in words)
    except (OSError, ValueError):  # no such group; "max"
        return []
    return [quota / period] if quota > 0 and period > 0 else []
