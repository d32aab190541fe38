"""Every metric, loss, logger and executor keeps what its kind is for."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.nn.functional import one_hot

from gbench.choices import choices
from gbench.config.compose import compose
from gbench.config.identity import identity
from gbench.errors import UserError
from gbench.losses import LOSSES
from gbench.metrics import METRICS, find
from gbench.sweep.executor import Executor
from gbench.sweep.remote import Cluster
from gbench.sweep.words import EXECUTORS
from gbench.train.loggers import make_loggers
from gbench.train.losses import loss_of
from gbench.train.metrics import value_of

ROWS, COLUMNS = 40, 3
AS_PREDICTED = [(name, labels) for name in METRICS for labels in METRICS[name].labels]


def example(labels: str) -> tuple[Tensor, Tensor, Tensor]:
    """Labels, answers that could not be better, and answers at random."""
    generator = torch.Generator().manual_seed(0)
    at_random = torch.randn(ROWS, COLUMNS, generator=generator)
    if labels == "classes":
        y = torch.arange(ROWS) % COLUMNS
        return y, 40.0 * one_hot(y), at_random
    if labels == "numbers":
        y = torch.randn(ROWS, COLUMNS, generator=generator)
        y[::7, 1] = torch.nan
        return y, y.nan_to_num(), at_random
    y = (torch.rand(ROWS, COLUMNS, generator=generator) < 0.4).float()
    if labels == "links":
        return y[:, :1], 80 * y[:, :1] - 40, at_random[:, :1]
    y[::7, 1] = torch.nan
    return y, 80 * y.nan_to_num() - 40, at_random


@pytest.mark.parametrize(("name", "labels"), [*AS_PREDICTED, ("hits@3", "links")])
def test_a_metric_is_of_the_set_of_rows_and_best_for_the_labels_themselves(
    name: str, labels: str
) -> None:
    metric = find(name)
    y, perfect, at_random = example(labels)
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(1))
    value = value_of(metric, at_random, y)
    assert value_of(metric, at_random[order], y[order]) == pytest.approx(value, abs=1e-6)
    best = value_of(metric, perfect, y)
    assert best > value if metric.direction == "max" else best < value
    if metric.percent:
        assert 0 <= value <= 1
    assert best == pytest.approx(float(metric.direction == "max"), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "labels"), [pair for pair in AS_PREDICTED if pair[1] in ("tasks", "numbers")]
)
def test_a_metric_does_not_look_at_answers_without_a_label(name: str, labels: str) -> None:
    y, _, at_random = example(labels)
    changed = torch.where(y.isnan(), at_random + 5, at_random)
    assert y.isnan().any()
    assert value_of(find(name), changed, y) == pytest.approx(value_of(find(name), at_random, y))


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_of_the_set_of_rows_and_lower_for_the_labels_themselves(name: str) -> None:
    y, perfect, at_random = example(LOSSES[name].labels)
    card: Any = SimpleNamespace(loss=name, loss_labels="", loss_options={}, level="graph")
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(1))
    at_random.requires_grad_()
    value = loss_of(card, at_random, y)
    assert loss_of(card, at_random[order], y[order]).item() == pytest.approx(value.item(), rel=1e-5)
    assert loss_of(card, perfect.float(), y) < value
    value.backward()
    assert at_random.grad is not None and at_random.grad.any()
    if y.is_floating_point():
        assert not at_random.grad[y.isnan()].any()


@pytest.mark.parametrize("name", choices("logger"))
def test_a_logger_is_made_or_names_the_package_that_it_needs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    config = compose(["model=gcn", "data=csbm", f"logger={name}"])
    assert identity(config) == identity(compose(["model=gcn", "data=csbm"]))
    try:
        made = make_loggers(config, tmp_path / "run")
    except UserError as error:
        assert "pip install" in str(error)
        return
    assert all(isinstance(logger, Logger) for logger in made)
    assert bool(made) == (name != "none")


@pytest.mark.parametrize("name", EXECUTORS)
def test_an_executor_has_what_the_engine_calls(name: str) -> None:
    kind = getattr(import_module(f"gbench.sweep.{name}"), name.capitalize())
    asked = Executor if name == "local" else Cluster
    methods = [key for key, value in vars(asked).items() if key[0] != "_" and callable(value)]
    assert methods
    for method in methods:
        wanted = inspect.signature(getattr(asked, method)).parameters.values()
        found = inspect.signature(getattr(kind, method)).parameters.values()
        assert [p.kind for p in found] == [p.kind for p in wanted]
