"""A few of the random datasets of `scripts/fuzz_data.py`; the script makes thousands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from numpy.random import RandomState

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"


@pytest.mark.parametrize("number", range(24))
def test_what_is_said_of_a_random_dataset(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from fuzz_data import check
    from random_data import made

    about = made(tmp_path / f"random-{number}", RandomState([7, number]))
    assert check(about, tmp_path / "cache") == ""
