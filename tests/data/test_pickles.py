"""Published pickles are read as data; a pickle that runs code is refused."""

from __future__ import annotations

import io
import os
import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

from gbench.data.loaders.pickles import read_pickle, read_torch
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


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_torch_files_with_arrays_are_read(tmp_path: Path, protocol: int, zipped: bool) -> None:
    file = tmp_path / "split.pt"
    pairs, year = np.arange(6).reshape(3, 2), torch.tensor([2017, 2018, 2019])
    torch.save(
        {"edge": pairs, "year": year},
        file,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    read = read_torch(file)
    assert np.array_equal(read["edge"], pairs) and torch.equal(read["year"], year)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_a_torch_file_does_not_run(tmp_path: Path, zipped: bool) -> None:
    target = tmp_path / "made-by-the-pickle"
    file = tmp_path / "split.pt"
    torch.save(Attack(target), file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"split.pt is not a readable data file .*mkdir"):
        read_torch(file)
    assert not target.exists()


def test_tensors_within_a_pickle_are_read(tmp_path: Path) -> None:
    """As plain `pickle` writes them: a tensor's numbers are a torch file within the file."""
    file = tmp_path / "data.pkl"
    tensor = torch.arange(6, dtype=torch.int8).view(2, 3)
    file.write_bytes(pickle.dumps({"x": tensor.t(), "y": torch.tensor([0.5])}))
    read = read_pickle(file)
    assert torch.equal(read["x"], tensor.t()) and read["y"].tolist() == [0.5]


class Within:
    """A tensor's numbers that are none."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return torch.storage._load_from_bytes, (self.content,)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_a_tensor_within_a_pickle_does_not_run(tmp_path: Path, zipped: bool) -> None:
    target, inner = tmp_path / "made-by-the-pickle", io.BytesIO()
    torch.save(Attack(target), inner, _use_new_zipfile_serialization=zipped)
    file = tmp_path / "data.pkl"
    file.write_bytes(pickle.dumps(Within(inner.getvalue())))
    with pytest.raises(UserError, match=r"data.pkl is not a readable data file"):
        read_pickle(file)
    assert not target.exists()


def test_an_object_of_old_pyg_is_a_record_of_what_it_held(tmp_path: Path) -> None:
    file = tmp_path / "data.pkl"
    old = b"ctorch_geometric.data.data\nData\n)\x81}(X\x01\x00\x00\x00xK\x03ub."
    file.write_bytes(b"\x80\x02" + old)
    read = read_pickle(file)
    assert vars(read) == {"x": 3} and type(read).__module__ == "gbench.data.loaders.pickles"
