"""Plain values as Python source."""

from __future__ import annotations

import json
import math
from textwrap import indent
from typing import Any

_LINE = 72  # characters; longer dicts and lists get a line per item


def literal(value: Any) -> str:
    """Python for a plain value; what would be a long line gets one line per item."""
    if isinstance(value, dict):
        items, ends = [f"{literal(k)}: {literal(v)}" for k, v in value.items()], "{}"
    elif isinstance(value, list):
        items, ends = [literal(item) for item in value], "[]"
    elif isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    else:
        return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    line = f"{ends[0]}{', '.join(items)}{ends[1]}"
    if len(line) <= _LINE and "\n" not in line:
        return line
    lines = indent("".join(f"{item},\n" for item in items), "    ")
    return f"{ends[0]}\n{lines}{ends[1]}"
