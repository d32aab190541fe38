"""ASAM against its formula, computed by hand in float64 on a problem with a known gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gbench.errors import UserError
from gbench.train.asam import ASAM
from gbench.train.optimizer import decay_penalty, make_optimizer

OPTIM: dict[str, Any] = {
    "optimizer": "asam", "lr": 0.1, "momentum": 0.9, "rho": 0.5, "eta": 0.01,
    "options": {}, "groups": [], "weight_decay": 0.0, "decay_prefix": "", "decay_of_others": 0.0,
}  # fmt: skip


def test_three_steps_are_the_formula() -> None:
    """Loss ½ wᵀ A w + ½ c b² + w₁ b, w adaptive and b not, so that T = |w| + η for w alone."""
    matrix = np.array([[3.0, 0.5], [0.5, 1.0]])
    weight = nn.Parameter(torch.tensor([0.7, -1.2], dtype=torch.float64))
    bias = nn.Parameter(torch.tensor([0.4], dtype=torch.float64))
    groups = [
        {"params": [weight], "weight_decay": 0.02, "adaptive": True},
        {"params": [bias], "weight_decay": 0.0, "adaptive": False},
    ]
    optimizer = ASAM(groups, lr=0.1, momentum=0.9, rho=0.5, eta=0.01)

    def closure() -> float:
        optimizer.zero_grad()
        loss = 0.5 * weight @ torch.from_numpy(matrix) @ weight + 2.0 * (bias**2).sum() / 2
        loss = loss + weight[0] * bias[0]
        loss.backward()
        return float(loss.item())

    w, b = np.array([0.7, -1.2]), np.array([0.4])
    velocity_w, velocity_b = np.zeros(2), np.zeros(1)

    def gradient(w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return matrix @ w + np.array([b[0], 0.0]), 2.0 * b + w[:1]

    for _ in range(3):
        here = 0.5 * w @ matrix @ w + b[0] ** 2 + w[0] * b[0]
        assert optimizer.step(closure) == pytest.approx(here, rel=1e-12)
        g_w, g_b = gradient(w, b)
        t = np.abs(w) + 0.01
        norm = np.sqrt(((t * g_w) ** 2).sum() + (g_b**2).sum())
        g_w, g_b = gradient(w + 0.5 * t**2 * g_w / norm, b + 0.5 * g_b / norm)
        velocity_w = 0.9 * velocity_w + g_w + 0.02 * w  # weight decay at w, not at the worst point
        velocity_b = 0.9 * velocity_b + g_b
        w, b = w - 0.1 * velocity_w, b - 0.1 * velocity_b
        assert weight.detach().numpy() == pytest.approx(w, rel=1e-12)
        assert bias.detach().numpy() == pytest.approx(b, rel=1e-12)


def test_without_radius_it_is_sgd_with_momentum() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(20, 3), torch.randn(20, 1)
    models = [nn.Linear(3, 1), nn.Linear(3, 1)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [
        make_optimizer(models[0], {**OPTIM, "rho": 0.0, "weight_decay": 0.1}, fused=True),
        torch.optim.SGD(models[1].parameters(), lr=0.1, momentum=0.9, weight_decay=0.1),
    ]
    for _ in range(5):
        for model, optimizer in zip(models, optimizers, strict=True):

            def closure(model: nn.Module = model, optimizer: Any = optimizer) -> float:
                optimizer.zero_grad()
                loss = (model(x) - y).square().mean()
                loss.backward()
                return float(loss.item())

            optimizer.step(closure)
    assert torch.allclose(models[0].weight, models[1].weight, atol=1e-6)


def test_biases_and_single_numbers_are_not_measured_by_their_size() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    model.register_parameter("eps", nn.Parameter(torch.zeros(())))
    optimizer = make_optimizer(model, OPTIM, fused=True)
    names = {parameter: name for name, parameter in model.named_parameters()}
    adaptive = {
        names[p] for group in optimizer.param_groups if group["adaptive"] for p in group["params"]
    }
    assert adaptive == {"0.weight", "1.weight"}


@pytest.mark.parametrize("optimizer", ["adam", "asam"])
def test_decay_by_prefix_and_for_the_rest(optimizer: str) -> None:
    model = nn.ModuleDict({"learner": nn.Linear(2, 2), "head": nn.Linear(2, 1)})
    optim = {**OPTIM, "optimizer": optimizer, "weight_decay": 0.5}

    def decays(**changes: Any) -> dict[str, float]:
        made = make_optimizer(model, {**optim, **changes}, fused=False)
        names = {parameter: name for name, parameter in model.named_parameters()}
        groups = made.param_groups
        return {names[p]: group["weight_decay"] for group in groups for p in group["params"]}

    assert set(decays().values()) == {0.5}
    assert decays(decay_prefix="learner.", decay_of_others=0.25) == {
        "learner.weight": 0.5, "learner.bias": 0.5, "head.weight": 0.25, "head.bias": 0.25,
    }  # fmt: skip
    with pytest.raises(UserError, match=r"no parameter begins so; they are in head, learner"):
        decays(decay_prefix="sheaf.")


def test_the_penalty_is_what_weight_decay_descends() -> None:
    """One plain gradient step on loss + penalty is one step with weight_decay on the loss."""
    weight = nn.Parameter(torch.tensor([3.0, -4.0]))
    other = nn.Parameter(torch.tensor([10.0]))
    groups = [{"params": [weight], "weight_decay": 0.2}, {"params": [other], "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    assert decay_penalty(optimizer) == pytest.approx(0.2 / 2 * 25)
