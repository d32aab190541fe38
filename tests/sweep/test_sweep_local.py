"""How points share this machine: slots, devices and threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gbench.config.compose import Config
from gbench.sweep.local import Local, visible_gpus

Configs = Callable[[int], list[Config]]


def with_trainer(config: Config, **settings: Any) -> Config:
    return {**config, "trainer": {**config["trainer"], **settings}}


@pytest.fixture
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gbench.sweep.local.num_cores", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def with_data(config: Config, **settings: Any) -> Config:
    return {**config, "data": {**config["data"], **settings}}


@pytest.mark.parametrize(("jobs", "slots", "threads"), [(None, 16, 1), (1, 1, 16), (32, 32, 1)])
def test_points_share_the_cores(
    configs: Configs, sixteen_cores: None, jobs: int | None, slots: int, threads: int
) -> None:
    local = Local(configs(2), jobs)
    assert (local.slots, local.threads, local.gpus) == (slots, threads, [])


@pytest.mark.parametrize(
    "told", [{"statistics": {"num_nodes": 169_343}}, {"num_nodes": None}, {"num_nodes": 10**6}]
)
def test_large_data_have_four_cores_for_each_point(
    configs: Configs, sixteen_cores: None, told: dict[str, Any]
) -> None:
    """So have data of which nobody says how large they are."""
    small, other = configs(2)
    local = Local([small, with_data(other, **told)], None)
    assert (local.slots, local.threads) == (4, 4)


def test_what_the_user_says_of_threads_holds(
    configs: Configs, sixteen_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert Local(configs(1), 8).threads == 3


@pytest.mark.parametrize(
    ("named", "gpus"),
    [("0,1", ["0", "1"]), ("3", ["3"]), ("GPU-a, GPU-b", ["GPU-a", "GPU-b"]), ("", []), ("-1", [])],
)
def test_the_gpus_that_may_be_used(
    named: str, gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == gpus


def test_one_point_for_each_gpu_unless_they_are_told_apart_or_not_wanted(
    configs: Configs, sixteen_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    (config,) = configs(1)
    assert (Local([config], None).slots, Local([config], None).gpus) == (3, ["0", "1", "2"])
    on_cpu = Local([with_trainer(config, accelerator="cpu")], None)
    assert (on_cpu.slots, on_cpu.gpus) == (16, [])
    several = Local([config, with_trainer(config, devices=2)], None)
    assert (several.slots, several.gpus) == (1, [])


def test_each_point_is_told_its_own_device(
    configs: Configs, sixteen_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round robin over the slots, and a slot that came free is taken again."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    local = Local(configs(1), 4)
    given: list[str | None] = []
    monkeypatch.setattr(local, "_request", lambda channel, printed: None)
    monkeypatch.setattr(
        "gbench.sweep.local.Job", lambda c, f, threads, device, runs, shares: given.append(device)
    )
    (config,) = configs(1)
    for key in range(4):
        local.start(key, config, None)  # type: ignore[arg-type]
    del local.running[1]
    local.start(4, config, None)  # type: ignore[arg-type]
    assert given == ["4", "5", "4", "5", "5"]
    local.close()


def test_what_has_not_started_is_killed_too(
    configs: Configs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two signals may come at once, before there is a process to send one to."""
    local = Local(configs(1), 1)
    monkeypatch.setattr(local, "_request", lambda *_: None)
    local.start(7, configs(1)[0], tmp_path)
    local.kill()
    assert local.wait(0) == [(7, {"kind": "end", "state": "lost"})]
    assert not local.running
