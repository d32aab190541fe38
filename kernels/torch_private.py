"""The private names of torch that make an operation's call cheap, and what stands in without them.

They are looked up when this file is imported. Where one of them is missing, as in a torch that has
moved it, `SHORTCUTS` is False: operations then go through the dispatcher and
`torch.library.register_autograd`, which give the same numbers and take some 50 µs more per forward
and backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def _private(name: str) -> Any:
    """What torch has by this name, None where it has none."""
    found: Any = torch
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _autocast_of_any() -> bool:
    return torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")


any_autocast: Callable[[], bool] = _private("_C._is_any_autocast_enabled") or _autocast_of_any

# Whether torch.jit.trace is at work; a public name, which torch does not type.
is_jit_tracing: Callable[[], bool] = torch.jit.__dict__.get("is_tracing", lambda: False)

# Whether anybody traces, transforms or profiles what is called.
_modes: Any = _private("_C._len_torch_dispatch_stack")
_transform: Any = _private("_C._functorch.maybe_current_level")
_profiler: Any = _private("_C._autograd._profiler_enabled")

# A context in which an operation's autograd is not asked again.
below_autograd: Any = _private("_C._AutoDispatchBelowAutograd")
# The public torch.autograd.Function first looks at each argument for torch.func, 1 µs each.
Function: Any = _private("autograd.function._SingleLevelFunction")

SHORTCUTS = None not in (_modes, _transform, _profiler, below_autograd, Function)


def is_watched() -> bool:
    """Whether somebody traces, transforms or profiles; True where torch does not tell."""
    return not SHORTCUTS or is_traced() or _profiler()


def is_traced() -> bool:
    """Whether somebody traces or transforms; True where torch does not tell."""
    return (
        not SHORTCUTS or torch.compiler.is_compiling() or bool(_modes()) or _transform() is not None
    )
