"""Every model on every embedded dataset that it can do: a real optimisation step, and it learns."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from gbench.build import build_task
from gbench.choices import choices, read_yaml
from gbench.config.compose import compose
from gbench.config.floors import networks
from gbench.data.spec import DataCard
from gbench.errors import UserError
from tests.in_order import InOrder


def embedded(data: str) -> bool:
    if read_yaml(choices("data")[data]).get("folder"):
        return False  # without composing it, which takes 0.1 s
    try:
        card = DataCard.from_config(compose(["model=gin", f"data={data}"])["data"])
    except UserError:
        return False
    return not card.folder


PAIRS = [(model, data) for data in choices("data") if embedded(data) for model in networks()]


@pytest.mark.parametrize(("model", "data"), PAIRS)
def test_a_step_in_one_order_changes_the_weights_and_a_dozen_lower_the_loss(
    model: str, data: str, made_up_teacher
) -> None:
    torch.set_num_threads(1)
    try:
        config = compose([f"model={model}", f"data={data}", "optim.lr=0.001"])
    except UserError as error:
        assert "-level" in str(error)  # refused: the model cannot do this level
        return
    task = build_task(config, made_up_teacher(config))
    task.max_epochs = 1
    dataset = task.dataset
    if dataset.spec.level == "node":
        batch = dataset.store.whole().with_targets(dataset.split.train)
    else:
        ids = dataset.split.train[:24]
        batch = dataset.store.batch(ids)
        if dataset.patcher is not None:
            batch = replace(batch, patches=dataset.patcher.static_patches(ids))
            dataset.patcher.pool.shutdown()
    task.train()
    optimizer = torch.optim.Adam(task.model.parameters(), lr=config["optim"]["lr"])
    before = {name: value.detach().clone() for name, value in task.model.named_parameters()}
    losses = []
    for step in range(12):
        optimizer.zero_grad()
        torch.manual_seed(0)  # the same dropout in every step, so that losses compare
        with InOrder() if step == 0 else nullcontext():
            loss = task.training_step(batch, 0)
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
        if step == 0:
            assert all(p.grad is not None or not p.requires_grad for p in task.model.parameters())
    after = dict(task.model.named_parameters())
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert losses[-1] < losses[0]
