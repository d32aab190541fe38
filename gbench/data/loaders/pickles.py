"""Read the pickles that published datasets consist of, without running code from them."""

from __future__ import annotations

import io
import pickle
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from gbench.errors import UserError

# What arrays, sparse matrices and dictionaries are made of, under all names they have had.
ALLOWED = {
    "_codecs": {"encode"},
    "__builtin__": {"object", "list"},
    "builtins": {"object", "list"},
    "collections": {"OrderedDict", "defaultdict"},
    "copy_reg": {"_reconstructor"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "scipy.sparse._csr": {"csr_matrix"},
    "scipy.sparse.csr": {"csr_matrix"},
    "torch._utils": {"_rebuild_tensor_v2"},
}
MOVED = {
    "numpy.core.multiarray": "numpy._core.multiarray",  # numpy 2
    "scipy.sparse.csr": "scipy.sparse",  # scipy 1.8
}


class Record:
    """What an object of a class of its own held, as attributes."""


def _storage(content: bytes) -> Any:
    """A tensor's numbers, which torch pickles as a file within the file."""
    import torch

    return torch.load(io.BytesIO(content), weights_only=True)


INSTEAD = {
    ("torch_geometric.data.data", "Data"): Record,  # today's cannot be rebuilt from those of 2020
    ("torch.storage", "_load_from_bytes"): _storage,  # torch's own would run code
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in INSTEAD:
            return INSTEAD[module, name]
        if name not in ALLOWED.get(module, ()):
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which is not data")
        try:
            return super().find_class(MOVED.get(module, module), name)
        except ModuleNotFoundError:
            return super().find_class(module, name)


def read_pickle(path: Path) -> Any:
    """Load arrays, tensors, sparse matrices, lists and dictionaries written by Python 2 or 3.

    Raises UserError when the file is damaged or asks for anything else.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file, encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to say
        raise _damaged(path, error) from error


def read_torch(path: Path) -> Any:
    """Load tensors and arrays that `torch.save` wrote; torch's own safe reader refuses arrays.

    Raises UserError when the file is damaged or asks for anything else.
    """
    import torch

    try:
        _refuse_program(path)
        return torch.load(path, pickle_module=_TorchPickles, weights_only=False)
    except Exception as error:
        raise _damaged(path, error) from error


def _refuse_program(path: Path) -> None:
    """Raise ValueError for what torch.jit.save wrote: torch.load would run it.

    An archive has the names of its files in it as they are, and torch knows a program by this one.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return
        with mmap(file.fileno(), 0, access=ACCESS_READ) as archive:
            if archive.find(b"constants.pkl") >= 0:
                raise ValueError("it is a TorchScript program, not data")


class _TorchPickles:
    """What torch.load needs of a pickle module, in the restricted way."""

    Unpickler = _Unpickler

    @staticmethod
    def load(file: Any, **options: Any) -> Any:
        return _Unpickler(file, **options).load()


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} is not a readable data file ({error}); delete it and run "
        "`gbench data get` to fetch it again"
    )
