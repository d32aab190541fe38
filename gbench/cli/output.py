"""`--output FILE`: its ending chooses the format, unless --format does."""

from __future__ import annotations

from pathlib import Path

from gbench.errors import UserError

FORMATS = ("table", "md", "csv", "json", "latex", "html")
AUDITED = ("table", "md", "csv", "json", "html")  # formats of audits
_BY_ENDING = {
    "": "table",
    ".txt": "table",
    ".md": "md",
    ".csv": "csv",
    ".json": "json",
    ".tex": "latex",
    ".html": "html",
    ".htm": "html",
}


def format_of(chosen: str | None, output: str | None) -> str:
    """The format to write, `table` if nothing says it.

    Raises UserError where the two differ, and for an ending that stands for none.
    """
    if output is None:
        return chosen or "table"
    ending = Path(output).suffix.lower()
    meant = _BY_ENDING.get(ending)
    if chosen is None and meant is None:
        raise UserError(
            f"--output {output}: what is {ending}? There are "
            f"{' '.join(filter(None, _BY_ENDING))}; or say --format {'|'.join(FORMATS)}"
        )
    if chosen and ending and meant not in (None, chosen):
        raise UserError(
            f"--output {output} --format {chosen}: the name says {meant}; leave --format out, or "
            "give the file another ending"
        )
    return chosen or meant or "table"
