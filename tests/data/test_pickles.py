"""Published pickles are read as data; a pickle that runs code is refused."""

from __future__ import annotations

import os
import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from gbench.data.pickles import read_pickle
from gbench.errors import UserError


class Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    target = tmp_path / "made-by-the-pickle"
    file = tmp_path / "data.pkl"
    file.write_bytes(pickle.dumps(Attack(target)))
    with pytest.raises(UserError, match=r"data.pkl is not a readable data file .*mkdir"):
        read_pickle(file)
    assert not target.exists()
    pickle.loads(file.read_bytes())
    assert target.exists()  # it would have run


@pytest.mark.parametrize("name", ["builtins eval", "builtins getattr", "numpy load", "os system"])
def test_functions_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "data.pkl"
    file.write_bytes(b"c" + name.replace(" ", "\n").encode() + b"\n.")
    with pytest.raises(UserError, match="which is not data"):
        read_pickle(file)


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", pickle.dumps([1, 2, 3])[:-4]])
def test_damage_is_one_message(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "data.pkl"
    file.write_bytes(content)
    with pytest.raises(UserError, match="delete it and run `gbench data get`"):
        read_pickle(file)


def test_data_is_read(tmp_path: Path) -> None:
    file = tmp_path / "data.pkl"
    graph = defaultdict(list, {0: [1, 2], 1: [0]})
    file.write_bytes(pickle.dumps((np.arange(6).reshape(2, 3), graph, [1.5, "a"]), protocol=2))
    array, read, rest = read_pickle(file)
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]] and read == graph and rest == [1.5, "a"]
    # A matrix as scipy of the time wrote it, in the module that has since moved.
    matrix = scipy.sparse.csr_matrix(np.eye(3))
    old = pickle.dumps(matrix, protocol=2).replace(b"scipy.sparse._csr", b"scipy.sparse.csr")
    file.write_bytes(old.replace(b"numpy._core", b"numpy.core"))
    assert read_pickle(file).toarray().tolist() == np.eye(3).tolist()
