"""Which data training would read, without reading them and without torch."""

from __future__ import annotations

import json
from pathlib import Path

from gbench.data.files import cache, named
from gbench.data.spec import DataCard


def fingerprint_of(card: DataCard, data_dir: Path, cache_dir: Path) -> str:
    """The fingerprint of a prepared dataset; empty where it is not prepared or its files changed.

    Raises UserError for a loader that cannot be found.
    """
    path = cache.path_of(card, cache_dir)
    said = cache.described(path)
    if not path.exists() or "raw" not in said:
        return ""
    state = named.state(card, data_dir)
    # Raw files that are no longer there cannot have changed: what was prepared from them serves.
    is_same = state is None or json.loads(json.dumps(state)) == said["raw"]
    return str(said["fingerprint"]) if is_same else ""
