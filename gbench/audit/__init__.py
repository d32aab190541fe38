"""What a score on a dataset is worth: its facts, ceilings and floors.

The room has the name of the function: `gbench.audit("cora")` is that of gbench/interface/auditing.
Python sets `gbench.audit` to this module as soon as anything in it is imported, so it is callable.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """A module that can be called."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return import_module("gbench.interface.auditing").audit(*args, **options)


sys.modules[__name__].__class__ = _Room
