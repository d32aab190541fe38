"""Seeds: on the CPU a draw each, on a GPU one draw for all of a step's."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from gbench.kernels.seeds import SIZE, of_one_draw, seed_on

CPU = torch.device("cpu")
GPU: Any = namedtuple("Device", "type")("cuda")


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes that torch was asked to draw, in order, drawn on the CPU."""
    shapes, randint = [], torch.randint

    def record(high, shape, device):
        shapes.append(shape)
        assert device == GPU
        return randint(high, shape)

    monkeypatch.setattr(torch, "randint", record)
    return shapes


def test_on_the_cpu_each_seed_is_torchs_next_number() -> None:
    torch.manual_seed(5)
    expected = [torch.randint(2**63 - 1, ()) for _ in range(4)]
    torch.manual_seed(5)
    found = [seed_on(CPU), seed_on(CPU)]
    with of_one_draw():
        found += [seed_on(CPU), seed_on(CPU)]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_a_step_on_a_gpu_draws_once_and_again_where_that_is_used_up(drawn) -> None:
    with of_one_draw():
        assert not drawn  # evaluation drops nothing
        seeds = [seed_on(GPU) for _ in range(SIZE + 1)]
    assert drawn == [(SIZE,), (SIZE,)]
    assert len({int(seed) for seed in seeds}) == SIZE + 1
    assert all(seed.shape == () and seed.dtype == torch.int64 for seed in seeds)
    seed_on(GPU)
    assert drawn[2:] == [()]  # outside, where torch.manual_seed has to count for each


def test_a_resumed_run_goes_on_with_the_same_seeds(drawn) -> None:
    """What a step draws follows from the generator's state at its beginning."""

    def steps(*counts: int) -> list[list[int]]:
        taken = []
        for count in counts:
            with of_one_draw():
                taken.append([int(seed_on(GPU)) for _ in range(count)])
        return taken

    torch.manual_seed(1)
    steps(3)
    state = torch.get_rng_state()
    whole = steps(2, 5)
    steps(7)
    torch.set_rng_state(state)
    assert steps(2, 5) == whole


def test_a_draw_within_a_draw_leaves_the_outer_one(drawn) -> None:
    with of_one_draw():
        seed_on(GPU)
        with of_one_draw():
            seed_on(GPU)
        seed_on(GPU)
    assert drawn == [(SIZE,), (SIZE,)]


def test_seeds_of_fake_cuda_tensors() -> None:
    with FakeTensorMode(), of_one_draw():
        seed = seed_on(torch.device("cuda"))
        assert seed.device.type == "cuda" and seed.shape == ()
