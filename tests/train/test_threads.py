"""Threads of a training on the CPU: several where a step feeds them, and where somebody said so."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.train import threads
from gbench.train.task import Task

CORES = 3


@pytest.fixture(autouse=True)
def of_three_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "num_cores", lambda: CORES)
    torch.set_num_threads(CORES)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def small() -> Task:
    return build_task(compose(["model=gcn", "data=csbm"]))


def test_a_step_that_feeds_no_second_thread_has_one(small: Task) -> None:
    with threads.as_fed(small):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == CORES


def test_a_step_that_feeds_them_has_all(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "FEEDS", threads.products(small))
    with threads.as_fed(small):
        assert torch.get_num_threads() == CORES


def test_what_somebody_chose_stays(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    with threads.as_fed(small):
        assert torch.get_num_threads() == 2
    torch.set_num_threads(CORES)
    monkeypatch.setenv("OMP_NUM_THREADS", str(CORES))
    with threads.as_fed(small):
        assert torch.get_num_threads() == CORES


def test_they_come_back_after_an_error(small: Task) -> None:
    with pytest.raises(ValueError), threads.as_fed(small):
        raise ValueError
    assert torch.get_num_threads() == CORES


def test_products_are_parameters_times_nodes_of_a_batch(small: Task) -> None:
    parameters = sum(each.numel() for each in small.model.parameters())
    assert threads.products(small) == parameters * small.dataset.store.num_nodes
    graphs = build_task(compose(["model=gin", "data=digits", "optim.batch_size=32"]))
    parameters = sum(each.numel() for each in graphs.model.parameters())
    store = graphs.dataset.store
    nodes = 32 * store.num_nodes / store.num_graphs
    assert threads.products(graphs) == pytest.approx(parameters * nodes)
    parts = ["model=sage", "data=csbm", "batching=neighbours"]
    assert math.isinf(threads.products(build_task(compose(parts))))
