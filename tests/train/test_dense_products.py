"""Which way dense layers went is in a run's record, and a second run goes the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gbench.kernels import linear
from gbench.kernels.cpu import ways
from gbench.records import record as records

SETTINGS = ("model=mlp", "data=csbm", "trainer.max_epochs=3", "model.hidden_dim=16")


def test_the_ways_are_recorded_and_kept_for_the_next_run(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(linear, "LEAST", 0)
    monkeypatch.setattr(ways, "_known", {})
    monkeypatch.setattr(ways, "_faster", lambda *_: ways.CONVOLUTION)
    first, folder = run(*SETTINGS)
    assert first.dense_products
    assert all({*each.values()} == {ways.CONVOLUTION} for each in first.dense_products.values())
    assert records.read(folder / records.FILE_NAME).dense_products == first.dense_products

    folder.rename(tmp_path / "first")
    monkeypatch.setattr(ways, "_known", {})
    monkeypatch.setattr(ways, "_faster", lambda *_: pytest.fail("measured again"))
    again, _ = run(*SETTINGS)
    assert again.dense_products == first.dense_products
    assert (again.valid, again.test) == (first.valid, first.test)


def test_a_run_tells_only_its_own_classes(run: Any) -> None:
    ways._used[1, 256, 3, 4, "float32"] = ways.PLAIN
    record, _ = run(*SETTINGS)
    assert record.dense_products == {}  # all its products are small
