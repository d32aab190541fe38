"""Where numba keeps a compiled kernel: in a folder named by the sources that it was compiled from.

By itself numba looks at the kernel's own file alone, and would run old code after an edit in one
that this imports, as rows.py, draws.py and bfloat16.py.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from functools import cache
from pathlib import Path

from gbench.folders import cache_dir

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1]
IMPORT = re.compile(rb"^ *from gbench\.([\w.]+) import ", re.MULTILINE)
OLD_SECONDS = 30 * 86400.0


@cache
def folder_of(source: Path, chosen: str = "") -> Path:
    """The folder for the kernels of a file: below `chosen`, else beside the file, else the user's.

    When another takes its place, those that nothing was added to for 30 days are removed.
    """
    place = Path(chosen) if chosen else source.parent / "__pycache__"
    if not chosen and not os.access(source.parent, os.W_OK):
        place = cache_dir() / "numba"
    files = sorted(sources(source))
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]
    folder = place / f"{source.stem}-{digest}"
    if not folder.exists():
        for other in place.glob(f"{source.stem}-{'?' * 16}"):
            newest = max((path.stat().st_mtime for path in other.glob("*")), default=0.0)
            if newest < time.time() - OLD_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
    return folder


@cache
def sources(file: Path) -> frozenset[Path]:
    """The file, those of gbench that it imports, and what of these lies here with its imports."""
    found = {file}
    for name in IMPORT.findall(file.read_bytes()):
        imported = PACKAGE.joinpath(*name.decode().split(".")).with_suffix(".py")
        if imported.parent == HERE:
            found |= sources(imported)
        elif imported.exists():
            found.add(imported)
    return frozenset(found)
