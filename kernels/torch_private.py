"""The private names of torch that make an operation's call cheap, and what stands in without them.

They are looked up when this file is imported. Where one of them is missing, as in a torch that has
moved it, `SHORTCUTS` is False: operations then go through the dispatcher and
`torch.library.register_autograd`, which give the same numbers and take some 50 µs more per forward
and backward. Where torch does not tell of a module's hooks, every module counts as one that has
some, and is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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

# What a module's call runs besides its forward: dictionaries that a new module has, still empty.
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_tells_hooks = all(isinstance(vars(torch.nn.Module()).get(name), dict) for name in _HOOKS)
_hooks_of_all: Any = _private("nn.modules.module._has_any_global_hook")

SHORTCUTS = None not in (_modes, _transform, _profiler, below_autograd, Function)


def is_watched() -> bool:
    """Whether somebody traces, transforms or profiles; True where torch does not tell."""
    return not SHORTCUTS or is_traced() or _profiler()


def is_traced() -> bool:
    """Whether somebody traces or transforms; True where torch does not tell."""
    return (
        not SHORTCUTS or torch.compiler.is_compiling() or bool(_modes()) or _transform() is not None
    )


def has_hooks(modules: Iterable[torch.nn.Module]) -> bool:
    """Whether a call of one of them would run a hook, its own or one of all modules.

    What takes a module's weights and does not call it would run none. True where torch does not
    tell.
    """
    if not _tells_hooks or _hooks_of_all is None or _hooks_of_all():
        return True
    return any(getattr(module, name) for module in modules for name in _HOOKS)
