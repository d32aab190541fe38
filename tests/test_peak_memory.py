"""Peaks of phases, against arrays of known size that come and go."""

from __future__ import annotations

import math
import mmap
from pathlib import Path

import numpy as np
import pytest
import torch

from gbench import peak_memory
from gbench.peak_memory import PeakMemory, whole

LINUX = pytest.mark.skipif(not peak_memory.can_reset(), reason="needs /proc/self/clear_refs")
MIB = 2**20


def array(mib: int) -> np.ndarray:
    """In memory of its own: a heap that others have used may have room for it."""
    made = np.frombuffer(mmap.mmap(-1, mib * MIB), np.uint8)
    made[:] = 1
    return made


@LINUX
def test_each_phase_has_a_peak_of_its_own() -> None:
    peaks = PeakMemory()
    array(200)
    peaks.place(torch.device("cpu"))
    peaks.begin("training")
    kept = array(50)
    assert not peaks.knows("validation")
    peaks.begin("validation")
    assert not peaks.knows("validation")
    peaks.begin("training")
    assert peaks.knows("validation")
    array(100)
    peaks.begin("validation")
    peaks.begin("test")
    found = peaks.by_phase()
    del kept
    assert [*found] == ["data", "training", "validation", "test"]
    # beside `kept` the first training held nothing, and the second 100 MiB
    assert found["training"] - found["validation"] == pytest.approx(100, abs=20)
    assert found["data"] - found["validation"] == pytest.approx(150, abs=20)
    assert abs(found["test"] - found["validation"]) < 20
    assert whole(found) == found["data"]


def test_what_the_system_does_not_let_begin_anew_is_not_told(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak_memory, "RESET", tmp_path / "missing" / "clear_refs")
    peaks = PeakMemory()
    peaks.begin("training")
    found = peaks.by_phase()
    assert all(math.isnan(mib) for mib in found.values())
    assert whole(found) > 10  # that of the process is


def test_a_phase_that_never_was_is_not_told() -> None:
    peaks = PeakMemory()
    peaks.begin("training")
    found = peaks.by_phase()
    assert math.isnan(found["validation"])
    assert math.isnan(found["test"])
