"""Steps of fused Adam without torch's loop around them, against torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.hooks import RemovableHandle

from gbench.train.fused_adam import FusedAdam

Register = Callable[[torch.optim.Optimizer, Callable[..., None]], RemovableHandle]
HOOKS: dict[str, Register] = {
    "before": lambda optimizer, hook: optimizer.register_step_pre_hook(hook),
    "after": lambda optimizer, hook: optimizer.register_step_post_hook(hook),
    "before, of all": lambda _, hook: register_optimizer_step_pre_hook(hook),
    "after, of all": lambda _, hook: register_optimizer_step_post_hook(hook),
}


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_fused_steps_are_torchs_bit_for_bit(kind: type[torch.optim.Optimizer]) -> None:
    weights = []
    for is_plain in (True, False):
        torch.manual_seed(0)
        layer, other = nn.Linear(5, 3), nn.Linear(3, 2)
        groups = [{"params": [*layer.parameters()], "weight_decay": 0.1}]
        groups.append({"params": [*other.parameters()]})
        optimizer: Any = kind(groups, lr=0.1, fused=True)
        adam = FusedAdam.of(optimizer)
        assert adam is not None
        for step in range(5):
            loss = other(layer(torch.randn(4, 5))).square().sum()
            optimizer.zero_grad()
            loss.backward()
            if step == 2:
                other.bias.grad = None  # a parameter that this step does not read
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            (optimizer if is_plain else adam).step(lambda: None)
        weights.append(torch.cat([part.flatten() for part in layer.parameters()]))
        weights.append(torch.cat([part.flatten() for part in other.parameters()]))
    assert torch.equal(weights[0], weights[2])
    assert torch.equal(weights[1], weights[3])


@pytest.mark.parametrize("option", ["amsgrad", "maximize"])
def test_other_adams_take_their_own_steps(option: str) -> None:
    weights = [nn.Parameter(torch.ones(2))]
    assert FusedAdam.of(torch.optim.Adam(weights, fused=True, **{option: True})) is None
    assert FusedAdam.of(torch.optim.Adam(weights, fused=False)) is None
    assert FusedAdam.of(torch.optim.SGD(weights)) is None


@pytest.mark.parametrize("register", HOOKS.values(), ids=HOOKS)
def test_a_hook_is_called_as_by_torch_and_while_it_is_there(register: Register) -> None:
    found = [hooked(is_plain, register) for is_plain in (True, False)]
    assert found[0] == found[1]
    said, _ = found[1]
    assert said.count("hook") == 2
    assert said.count("closure") == 5


def hooked(is_plain: bool, register: Register) -> tuple[list[str], list[float]]:
    """What was called in five steps, of which the third and the fourth have a hook; the weights."""
    said: list[str] = []
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight], fused=True)
    adam = FusedAdam.of(optimizer)
    assert adam is not None

    def closure() -> Tensor:
        said.append("closure")
        weight.grad = weight.detach().clone()
        return weight.sum()

    def steps(count: int) -> None:
        for _ in range(count):
            if is_plain:
                optimizer.step(closure)
            else:
                adam.step(closure)

    steps(2)
    handle = register(optimizer, lambda *_: said.append("hook"))
    steps(2)
    handle.remove()
    steps(1)
    return said, weight.tolist()


def test_a_step_that_was_put_on_the_optimizer_is_taken() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer: Any = torch.optim.Adam([weight], fused=True)
    adam = FusedAdam.of(optimizer)
    assert adam is not None
    optimizer.step = lambda closure: weight.data.fill_(closure())
    adam.step(lambda: 7.0)
    assert weight.tolist() == [7.0, 7.0]
