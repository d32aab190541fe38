"""The class or function that a dotted name names: what a `_target_` in a YAML file is."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from gbench.errors import UserError, unknown
from gbench.fault import own_line


def locate(dotted: str, setting: str = "_target_") -> Any:
    """The class or function that a setting names.

    Raises UserError where there is none of that name; a fault within the module as it is.
    """
    module_name, _, name = str(dotted).rpartition(".")
    try:
        # a loss and a metric are found in each epoch
        module = sys.modules.get(module_name) or importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        if own_line(error):  # raised by a module of the user's own
            raise
        example = "file.Class" if setting == "_target_" else "file.function"
        raise UserError(
            f"{setting}: {dotted} cannot be imported ({error}). "
            f"One of your own lies in the folder given by --config-dir, as {example}"
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        public = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise unknown(
            f"class or function of {module.__file__}", name, public, f"{setting} names it"
        )
    return found
