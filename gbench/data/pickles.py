"""Read the pickles that published datasets consist of, without running code from them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from gbench.errors import UserError

# What arrays, sparse matrices and dictionaries are made of, under all names they have had.
ALLOWED = {
    "_codecs": {"encode"},
    "__builtin__": {"object", "list"},
    "builtins": {"object", "list"},
    "collections": {"defaultdict"},
    "copy_reg": {"_reconstructor"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "scipy.sparse._csr": {"csr_matrix"},
    "scipy.sparse.csr": {"csr_matrix"},
}
MOVED = {
    "numpy.core.multiarray": "numpy._core.multiarray",  # numpy 2
    "scipy.sparse.csr": "scipy.sparse",  # scipy 1.8
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in ALLOWED.get(module, ()):
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which is not data")
        try:
            return super().find_class(MOVED.get(module, module), name)
        except ModuleNotFoundError:
            return super().find_class(module, name)


def read_pickle(path: Path) -> Any:
    """Load arrays, sparse matrices, lists and dictionaries written by Python 2 or 3.

    Raises UserError when the file is damaged or asks for anything else.
    """
    with path.open("rb") as file:
        try:
            return _Unpickler(file, encoding="latin1").load()
        except Exception as error:  # a damaged pickle raises whatever its bytes happen to say
            raise UserError(
                f"{path} is not a readable data file ({error}); delete it and run "
                "`gbench data get` to fetch it again"
            ) from error
