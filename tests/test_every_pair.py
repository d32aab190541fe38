"""Every model on every embedded dataset that it can do: a real optimisation step, and it learns."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gbench.build import build_task
from gbench.choices import choices, read_yaml
from gbench.config.compose import compose
from gbench.data.spec import DataCard
from gbench.errors import UserError


def embedded(data: str) -> bool:
    if read_yaml(choices("data")[data]).get("folder"):
        return False  # without composing it, which takes 0.1 s
    try:
        card = DataCard.from_config(compose(["model=gin", f"data={data}"])["data"])
    except UserError:
        return False
    return not card.folder


# What torch.use_deterministic_algorithms lists, of a GPU: sums in an order that it chooses, and
# attention whose backward makes such. Other operations of torch have one order.
DISORDERED = ("scatter", "index_reduce", "put_", "put.", "histc", "kthvalue")
DISORDERED += ("_embedding_bag", "_scaled_dot_product", "grid_sampler", "upsample", "nll_loss2d")
DISORDERED += ("_ctc_loss", "max_unpool", "adaptive_", "reflection_pad", "replication_pad")


class InOrder(TorchDispatchMode):
    """Refuses what would give other bits each time on a GPU.

    gbench's own operations are looked into by tests/kernels/test_order_of_sums.py.
    """

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        name = str(op).removeprefix("aten.")
        assert not name.startswith(DISORDERED), name
        if name.startswith(("index_add", "index_copy")):  # one row to each place: nothing is summed
            assert args[2].unique().numel() == args[2].numel(), name
        elif name.startswith(("index_put", "_index_put")):  # what accumulates is sorted first
            index = torch.stack(torch.broadcast_tensors(*(i for i in args[1] if i is not None)))
            is_one_each = index.unique(dim=1).size(1) == index.flatten(1).size(1)
            assert is_one_each or (len(args) > 3 and args[3]), name
        elif name.startswith("cumsum"):
            assert not args[0].is_floating_point(), name
        elif name.startswith("bincount"):  # of integers, without weights
            assert args[1] is None, name
        return op(*args, **(kwargs or {}))


PAIRS = [(model, data) for data in choices("data") if embedded(data) for model in choices("model")]


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
