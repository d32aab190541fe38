"""Packages that others import and a run does not use are loaded when they are first used.

Lightning imports torch._dynamo (900 modules, sympy among them) for an isinstance, torch's
optimizers do to tell a compiler that is not at work, torchmetrics imports scipy.signal to look for
a function of old, and Lightning imports torch.utils.flop_counter, with it Triton, for summaries.
Together that takes longer than `import torch`.

`defer` lets an import of these give an empty module. Whoever asks it for a name, or imports one of
its submodules, has it loaded, in the same object; only those above are answered without.
(`importlib.util.LazyLoader` would load at their questions, and a submodule twice.)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import FunctionType, ModuleType
from typing import Any

Answers = dict[str, dict[str, Any]]


def defer() -> None:
    """From now on load them when they are first used, if they are not imported yet."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)


class Deferred:
    """The loader of a package that is loaded when it is first used.

    `answers` has, for each package that asks, the names that it is told meanwhile; all of `after`
    is called once the package is there.
    """

    def __init__(self, answers: Answers, after: Sequence[Callable[[], None]] = ()) -> None:
        self.answers, self.after = answers, list(after)
        self.is_empty, self.is_loading, self.lock = True, False, RLock()
        self.module: Any = None
        self.loader: Any = None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self.loader.create_module(spec)
        return module

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self.loader
        module.__getattr__, module.__dir__ = self.asked, lambda: sorted(vars(self.load()))
        self.module, self.is_empty = module, True

    def asked(self, name: str) -> Any:
        """What the empty module has of this name (PEP 562)."""
        if name == "__path__":  # asked by import, of a module that is no package
            raise AttributeError(f"module {self.module.__name__!r} has no attribute {name!r}")
        asking = _asking()
        for package, names in self.answers.items():
            if name in names and f"{asking}.".startswith(f"{package}."):
                return names[name]
        with self.lock:
            if self.is_loading:  # it asks for its own
                raise AttributeError(f"module {self.module.__name__!r} has no {name!r} yet")
            return getattr(self.load(), name)

    def load(self) -> Any:
        """The package, loaded."""
        with self.lock:  # of another thread that is loading it
            if self.is_empty and not self.is_loading:
                self.is_loading, ours = True, vars(self.module)["__getattr__"]
                del self.module.__dir__
                try:
                    self.loader.exec_module(self.module)
                except BaseException:
                    sys.modules.pop(self.module.__name__, None)  # as import does
                    raise
                finally:
                    self.is_loading = False
                self.is_empty = False
                if vars(self.module).get("__getattr__") == ours:
                    del self.module.__getattr__
                while self.after:
                    self.after.pop()()
        return self.module


class Submodule:
    """The loader of a submodule: its package comes first, and may bring it."""

    def __init__(self, package: Deferred, loader: Any) -> None:
        self.package, self.loader = package, loader
        self.spec_there: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        self.package.load()
        module: ModuleType | None = sys.modules.get(spec.name)
        if module is None:
            module = self.loader.create_module(spec)
        else:
            self.spec_there = module.__spec__
        return module

    def exec_module(self, module: Any) -> None:
        if self.spec_there is not None:
            vars(module)["__spec__"] = self.spec_there  # some refuse to have it set
            return
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)


class Finder:
    """Finds the deferred packages, as long as they are not loaded, and their submodules."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package = next((p for p in PACKAGES if name == p or name.startswith(f"{p}.")), None)
        if package is None or name in sys.modules:
            return None
        deferred = PACKAGES[package]
        if name != package and (not deferred.is_empty or deferred.is_loading):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            if name == package:
                deferred.loader, spec.loader = spec.loader, deferred  # type: ignore[assignment]
            else:
                spec.loader = Submodule(deferred, spec.loader)  # type: ignore[assignment]
        return spec


def _asking() -> str:
    """The name of the module that asked an empty one."""
    frame: Any = sys._getframe(2)
    while frame.f_globals.get("__name__", "").startswith(("importlib.", "_frozen_importlib")):
        frame = frame.f_back  # `from package import name` is asked by import first
    return str(frame.f_globals.get("__name__", ""))


class _Compiled(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return not _DYNAMO.is_empty and isinstance(instance, _DYNAMO.module.OptimizedModule)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return not _DYNAMO.is_empty and issubclass(subclass, _DYNAMO.module.OptimizedModule)


class OptimizedModule(metaclass=_Compiled):
    """Stands in isinstance for torch._dynamo's, of which there is none before torch._dynamo."""


def disable(function: Any = None, *options: Any, **named: Any) -> Any:
    """Hide a function from the compiler, once there is one."""
    if not isinstance(function, FunctionType):
        return _DYNAMO.load().disable(function, *options, **named)
    hidden: Callable[..., Any] = function

    def call(*args: Any, **kwargs: Any) -> Any:
        return hidden(*args, **kwargs)

    def hide() -> None:
        nonlocal hidden
        hidden = _DYNAMO.module.disable(function, *options, **named)

    _DYNAMO.after.append(hide)
    return wraps(function)(call) if named.get("wrapping", True) else call


def graph_break(msg: str = "") -> None:
    """There is no graph to break."""


def hamming(*args: Any, **kwargs: Any) -> Any:
    """Of scipy.signal.windows: torchmetrics gives it back to scipy.signal, if that has none."""
    return _SIGNAL.load().hamming(*args, **kwargs)


def _give_hamming() -> None:
    if not hasattr(_SIGNAL.module, "hamming"):
        _SIGNAL.module.hamming = _SIGNAL.module.windows.hamming


def count_flops(*args: Any, **kwargs: Any) -> Any:
    """Make a FlopCounterMode."""
    return _FLOPS.load().FlopCounterMode(*args, **kwargs)


_DYNAMO = Deferred(
    {
        "lightning": {"OptimizedModule": OptimizedModule},
        "torch._compile": {"disable": disable},
        "torch.compiler": {"disable": disable},
        "torch.optim": {"graph_break": graph_break},
    }
)
_SIGNAL = Deferred({"torchmetrics": {"hamming": hamming}}, [_give_hamming])
_FLOPS = Deferred({"lightning": {"FlopCounterMode": count_flops}})
PACKAGES = {
    "torch._dynamo": _DYNAMO,
    "torch.utils.flop_counter": _FLOPS,
    "scipy.signal": _SIGNAL,
}
