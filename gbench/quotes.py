"""The quotes in which a value of the command line may stand."""

from __future__ import annotations


def unquoted(value: str) -> str:
    """A value without the quotes that a setting may need."""
    quote = value[:1]
    if quote not in ("'", '"') or len(value) < 2 or value[-1] != quote:
        return value
    return value[1:-1].replace(f"\\{quote}", quote).replace("\\\\", "\\")
