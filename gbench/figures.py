"""How figures read in tables and summaries."""

from __future__ import annotations

import math

from gbench.metrics import is_percent

UNKNOWN = "–"
_FEW = 5


def metric_text(metric: str, mean: float, std: float | None = None) -> str:
    """`81.46 ± 0.52` for a percentage, else four significant digits and as many decimals of std."""
    if not math.isfinite(mean):
        return str(mean)  # diverged: a result, unlike an unknown duration
    if is_percent(metric):
        mean, decimals, std = 100 * mean, 2, None if std is None else 100 * std
    else:
        decimals = 3 - math.floor(math.log10(abs(mean))) if mean else 3
    if decimals > 6:  # below 0.001 leading zeros would hide the digits
        return f"{mean:.3e}" if std is None else f"{mean:.3e} ± {std:.1e}"
    text = f"{mean:.{max(decimals, 0)}f}"
    return text if std is None else f"{text} ± {std:.{max(decimals, 0)}f}"


def unit(metric: str) -> str:
    """What stands behind a head or a figure of it: ` %` of a percentage."""
    return " %" if is_percent(metric) else ""


def seconds_text(seconds: float) -> str:
    """`3.1 ms`, `12.4 s`, `5.2 min`, `1.3 h`."""
    if math.isnan(seconds):
        return UNKNOWN
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def count_text(count: float) -> str:
    """`1,885,506`; below 100 three significant digits, for rates."""
    if math.isnan(count):
        return UNKNOWN
    return f"{count:,.0f}" if count >= 100 else f"{count:.3g}"


def counted(n: int, noun: str) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def few_runs(n: int) -> str:
    """What a verdict on fewer than five runs says behind its word: ` (3 runs)`."""
    return f" ({counted(n, 'run')})" if n < _FEW else ""


def memory_text(mebibytes: float) -> str:
    """`512 MiB`, `3.4 GiB`."""
    if math.isnan(mebibytes):
        return UNKNOWN
    return f"{mebibytes:.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"
