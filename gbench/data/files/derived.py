"""What is computed from a prepared dataset, once, and read from disk afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from gbench.data.files import cache
from gbench.data.files.checked import read_checked, write_checked
from gbench.locate import locate
from gbench.processes import helps_another_process


class Key(NamedTuple):
    """All that the result depends on, but for the code of the function, which `path` adds."""

    data: str
    fingerprint: str  # of the dataset's tensors
    name: str  # what the file is called by
    target: str  # the function, as module.function
    options: Mapping[str, Any]

    def path(self, cache_dir: Path) -> Path:
        """The file of this result by this version of the code: what changes makes another file."""
        facts = {
            "fingerprint": self.fingerprint,
            "target": self.target,
            "made by": cache.made_by("derived", self.target),
            "options": cache.options_in_key(self.target, self.options),
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
        return cache.folder_of(self.data, cache_dir) / f"{self.name}-{key[:16]}.pt"


def derived(
    key: Key, compute: Callable[[Callable[..., Any]], dict[str, Tensor]], cache_dir: Path
) -> dict[str, Tensor]:
    """The tensors that `compute`, given the function of the key, makes: memory-mapped if kept.

    Raises UserError when the function cannot be found or the cache folder cannot be written.
    """
    path = key.path(cache_dir)
    kept = read_checked(path)
    if kept is None:
        with cache.locked(path):
            # another process may have made it while this one waited for the lock
            kept = read_checked(path) or _make(key, compute, path)
    return kept


def _make(
    key: Key, compute: Callable[[Callable[..., Any]], dict[str, Tensor]], path: Path
) -> dict[str, Tensor]:
    from gbench.console import console as usual_console

    function = locate(key.target)
    console = usual_console(quiet=helps_another_process())
    about = f"computing {key.name} of {key.data}, once; it is kept in {path.parent}"
    console.print(about, highlight=False, soft_wrap=True)
    tensors = compute(function)
    with cache.writing(path.parent):
        write_checked(path, tensors)
        what = " ".join([key.name, *(f"{k}={v}" for k, v in key.options.items())])
        cache.describe(path, what, "derived", key.target, key.fingerprint)
    return tensors
