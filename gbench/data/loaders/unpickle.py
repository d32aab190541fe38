"""What torch.save wrote, read without running anything that is in it.

torch's own restricted unpickler reads it. PyG's plain containers and numpy's numbers are read as
they are; an object of any other class becomes an `Unread`, which has its state and no code.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from gbench.errors import UserError

MOST_UNKNOWN = 50  # classes in one file; each costs another reading


class Unread:
    """An object of a class that is not data. It keeps its state and does nothing."""

    state: dict[str, Any]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        made = object.__new__(cls)
        made.state = {}
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        self.state = {k: v for part in parts if isinstance(part, Mapping) for k, v in part.items()}


def unpickled(path: Path) -> Any:
    """The content of a file. Raises UserError for one that torch did not write, or not as data."""
    allowed, unknown = _allowed(), dict[str, type]()
    for _ in range(MOST_UNKNOWN):
        named = [(kind, name) for name, kind in unknown.items()]
        try:
            with _only([*allowed, *named]):
                return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file raises whatever its bytes happen to say
            name, kind = _wanted(str(error), unknown)
            if kind is None or unknown.get(name) is kind:
                raise _fault(path, error) from error
            unknown[name] = kind
    raise _fault(path, ValueError(f"it wants more than {MOST_UNKNOWN} classes"))


@contextlib.contextmanager
def _only(allowed: list[Any]) -> Iterator[None]:
    """Let torch's unpickler read these classes alone; packages may have registered others."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(allowed)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _wanted(problem: str, unknown: Mapping[str, type]) -> tuple[str, type | None]:
    """The class that stopped the reading, and what stands for it; None where nothing can."""
    if found := re.search(r"GLOBAL (\S+) was not an allowed", problem):
        name = found[1] if "." in found[1] else f"builtins.{found[1]}"
        return name, type(name.rpartition(".")[2], (Unread,), {})
    found = re.search(r"Can only (SETITEM|append|extend).* got <class '(?:\S+\.)?(\w+)'>", problem)
    for name, kind in unknown.items():
        if found and kind.__name__ == found[2]:
            return name, _PlainDict if found[1] == "SETITEM" else _PlainList
    return "", None


class _PlainDict:
    """Stands for a class derived from dict: what it is filled with is a dict."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return {}


class _PlainList:
    """Stands for a class derived from list."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return []


def _allowed() -> list[Any]:
    from torch_geometric.data import Data
    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import AttrType, GlobalStorage

    dtypes = [kind for name, kind in vars(np.dtypes).items() if name.endswith("DType")]
    numpy: list[Any] = [np.ndarray, np.dtype, *dtypes]
    scalar, array = np.int64(0).__reduce__()[0], np.empty(0).__reduce__()[0]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):  # before and since numpy 2
        numpy += [(scalar, f"{module}.scalar"), (array, f"{module}._reconstruct")]
    filled = (_PlainDict, "collections.defaultdict")  # of `_cached_attr`, which torch cannot fill
    return [Data, DataEdgeAttr, DataTensorAttr, GlobalStorage, AttrType, filled, *numpy]


def _fault(path: Path, error: Exception) -> UserError:
    wants = re.search(r"GLOBAL (\S+)", str(error))
    reason = f"it wants {wants[1]}, which is not data" if wants else type(error).__name__
    if "DynamicInheritanceGetter" in str(error):
        reason = "it holds a Batch: save batch.to_data_list()"
    return UserError(
        f"{path} is no saved PyG dataset that gbench reads ({reason}): it may hold Data "
        "objects, lists of them, and tensors, as torch.save(data, path) writes them"
    )
