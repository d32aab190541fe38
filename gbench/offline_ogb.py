"""OGB's package, imported without its question to the package index."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def offline_ogb(module: str) -> Any:
    """A module of ogb, such as `linkproppred`.

    `import ogb` asks for a newer version through the package `outdated`; where that is missing it
    does not.
    """
    sys.modules.setdefault("outdated", None)  # type: ignore[arg-type]
    return importlib.import_module(f"ogb.{module}")
