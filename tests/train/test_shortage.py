"""A disk that fills up while a checkpoint or the record is written: told, and nothing half done."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gbench.errors import UserError
from gbench.records import record as records
from gbench.train import checkpoint, loader
from gbench.train.shortage import advised

NODE = ("model=gcn", "data=csbm", "trainer.max_epochs=12")


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """Let the kernel refuse to write more than `size` bytes to any file, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("module", "name", "size", "stage"),
    [
        (checkpoint, "torch.save", 3_000, "a checkpoint"),
        (checkpoint, "torch.save", 0, "a checkpoint, not one byte"),
        (records, "write", 1_000, "the record"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(
    module: Any,
    name: str,
    size: int,
    stage: str,
    run: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)  # a checkpoint after every epoch
    whole, folder = run(*NODE)
    folder.rename(tmp_path / "whole")
    owner = torch if name == "torch.save" else module
    original = getattr(owner, name.rpartition(".")[2])
    calls = 0

    def on_a_full_disk(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4 or owner is records:
            with full_after(size):
                return original(*arguments)
        return original(*arguments)

    monkeypatch.setattr(owner, name.rpartition(".")[2], on_a_full_disk)
    with pytest.raises(UserError, match=r"cannot write to .*: File too large\. The files there"):
        run(*NODE)
    names = {path.name for path in folder.iterdir()}
    assert "record.json" not in names
    assert not [name for name in names if name.endswith(".part") or name.startswith(".record")]
    torch.load(folder / "last.ckpt", weights_only=True)  # the one before is whole
    assert "cannot write to" in (folder / "error.txt").read_text()

    monkeypatch.setattr(owner, name.rpartition(".")[2], original)
    again, folder = run(*NODE)
    assert (again.test, again.valid, again.best_epoch) == (
        whole.test,
        whole.valid,
        whole.best_epoch,
    )
    assert not (folder / "error.txt").exists()


def test_a_gpu_that_is_full_is_told_with_what_needs_less(tmp_path: Path) -> None:
    message = r"out of memory on the GPU \(tried 2 GiB\): try a smaller"
    with pytest.raises(UserError, match=message), advised(tmp_path):
        raise torch.OutOfMemoryError("tried 2 GiB\nand a page of advice")


def test_memory_that_is_full_is_told_with_what_needs_less(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"out of memory .*: try a smaller"), advised(tmp_path):
        torch.empty(1 << 62, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"out of memory .*: try a smaller"), advised(tmp_path):
        np.empty(1 << 62, dtype=np.uint8)


def test_other_errors_pass() -> None:
    for error in (RuntimeError("shapes"), FileNotFoundError(2, "gone"), ValueError("no")):
        with pytest.raises(type(error)) as caught, advised(Path("runs")):
            raise error
        assert caught.value is error
