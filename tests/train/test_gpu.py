"""A short training of every packaged model on a GPU: the same bits twice, captured or not alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gbench.choices import stated
from gbench.config.floors import networks
from gbench.records.folder import BEST
from gbench.records.record import RunRecord
from gbench.train.checkpoint import load_weights

Run = Callable[..., tuple[RunRecord, Path]]

ON = [
    pytest.param(
        "gpu",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    )
]
EVERYWHERE = ["cpu", *ON]  # that these tests are right is seen on any machine


def pairs() -> list[tuple[str, str]]:
    """Every packaged model with a dataset of each level that it takes, which needs no download."""
    data = {"node": "csbm", "graph": "digits"}
    models = networks()
    return [
        (model, data[level])
        for model in sorted(models)
        for level in stated("model.levels", models, model)
        if level != "link"  # whose data are downloads: see tests/models/test_ncn.py
    ]


def short(run: Run, where: str, model: str, data: str, *words: str) -> tuple[RunRecord, Path]:
    given = [f"model={model}", f"data={data}", "experiment=null", f"trainer={where}"]
    limit = ["trainer.limit_batches=3"] if data == "digits" else []
    return run(*given, *limit, "trainer.max_epochs=3", *words)


def is_same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("where", ON)
@pytest.mark.parametrize(("model", "data"), pairs())
def test_every_model_trains_to_the_same_bits_twice(run, where, model, data, tmp_path) -> None:
    twice_the_same(run, where, model, data, tmp_path)


@pytest.mark.parametrize("where", EVERYWHERE)
def test_a_model_trains_to_the_same_bits_twice(run, where, tmp_path) -> None:
    twice_the_same(run, where, "gcn", "csbm", tmp_path)


def twice_the_same(run: Run, where: str, model: str, data: str, tmp_path: Path) -> None:
    first, folder = short(run, where, model, data)
    again, other = short(run, where, model, data, f"runs_dir={tmp_path / 'again'}")
    assert (first.valid, first.test) == (again.valid, again.test)
    assert is_same(load_weights(folder / BEST), load_weights(other / BEST))


@pytest.mark.parametrize("where", ON)
@pytest.mark.parametrize("model", [model for model, data in pairs() if data == "csbm"])
def test_captured_steps_are_the_ordinary_ones(run, where, model, tmp_path) -> None:
    captured_or_not(run, where, model, tmp_path)


@pytest.mark.parametrize("where", EVERYWHERE)
def test_a_captured_model_is_the_ordinary_one(run, where, tmp_path) -> None:
    captured_or_not(run, where, "sgc", tmp_path)


def captured_or_not(run: Run, where: str, model: str, tmp_path: Path) -> None:
    auto, folder = short(run, where, model, "csbm", "trainer.cuda_graphs=auto")
    words = ["trainer.cuda_graphs=off", f"runs_dir={tmp_path / 'off'}"]
    off, other = short(run, where, model, "csbm", *words)
    assert not off.captured
    assert (auto.valid, auto.test) == pytest.approx((off.valid, off.test), abs=0.01)
    found, wanted = load_weights(folder / BEST), load_weights(other / BEST)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-3, atol=1e-4)
