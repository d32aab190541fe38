"""Several encodings at once: each is what it is alone, one beside the other, in the order typed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gbench.board.differing import differing_settings
from gbench.build import build_task
from gbench.config.compose import compose
from gbench.config.identity import identity
from gbench.errors import UserError
from gbench.train.task import Task

BOTH = ("encoding=[lappe,rwse]", "encoding.lappe.dim=3", "encoding.rwse.steps=5")


def a_task(*words: str) -> Task:
    return build_task(compose(["model=gcn", "experiment=null", *words]))


def test_columns_are_those_of_each_alone_in_the_order_of_the_list(shared_cache: Path) -> None:
    waves = a_task("data=csl", "encoding=lappe", "encoding.dim=3").dataset
    walks = a_task("data=csl", "encoding=rwse", "encoding.steps=5").dataset
    both = a_task("data=csl", *BOTH).dataset
    assert torch.equal(both.store.pe, torch.cat([waves.store.pe, walks.store.pe], 1))
    assert both.spec.encodings == (("lappe", 3), ("rwse", 5)) and both.spec.pe_dim == 8
    turned = a_task("data=csl", "encoding=[rwse,lappe]", *BOTH[1:]).dataset
    assert torch.equal(turned.store.pe, torch.cat([walks.store.pe, waves.store.pe], 1))
    assert turned.random_signs == (False,) * 5 + (True,) * 3


def test_signs_are_drawn_for_its_own_columns_and_in_training_alone(
    shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gbench.train.loader.ROUND_SECONDS", 600.0)
    task = a_task("data=csl", *BOTH, "optim.batch_size=30")
    task.trainer = type("", (), {"world_size": 1, "global_rank": 0})
    task.max_epochs = 2
    drawn = set()
    plain = task.dataset.store.pe.abs().view(150, 41, 8)
    walks = {tuple(row) for row in plain[:, 0, 3:].tolist()}
    batches = task.train_dataloader()
    for batch in (batch for epoch in (0, 1) for batch in batches.of_epoch(epoch)):
        pe = batch.pe.view(-1, 41, 8)
        assert {tuple(row) for row in pe[:, 0, 3:].tolist()} <= walks  # not one is negated
        first = pe[0, :, :3]
        index = next(i for i in range(150) if torch.equal(plain[i, :, :3], first.abs()))
        sign = (first / task.dataset.store.pe.view(150, 41, 8)[index, :, :3]).nanmedian(0).values
        drawn.add(tuple(sign.tolist()))
    assert len(drawn) > 1 and {s for signs in drawn for s in signs} == {-1.0, 1.0}


def test_parts_of_a_graph_carry_both(shared_cache: Path) -> None:
    task = a_task("data=csbm", *BOTH, "batching=neighbours", "batching.fan_outs=[2,2]")
    task.trainer = type("", (), {"world_size": 1, "global_rank": 0})
    task.max_epochs = 1
    store = task.dataset.store
    rows = {tuple(row.abs().tolist()) for row in store.pe}
    for batch in task.train_dataloader().of_epoch(0):
        assert {tuple(row.abs().tolist()) for row in batch.pe} <= rows
    logits, _ = task.answers("valid")
    task.model.eval()
    whole = task.model(store.whole())[task.dataset.split.valid]
    torch.testing.assert_close(logits, whole)


def test_a_setting_of_one_of_them_is_held_to_its_limits() -> None:
    with pytest.raises(UserError, match=r"encoding\.lappe\.dim=0: allowed is a number at least 1"):
        compose([BOTH[0], "encoding.lappe.dim=0"])
    with pytest.raises(UserError, match=r"did you mean 'encoding\.lappe\.dim'"):
        compose([BOTH[0], "encoding.dim=4"])


def test_a_table_shows_them_as_they_are_typed(shared_cache: Path) -> None:
    configs = [compose(words) for words in ([*BOTH], ["encoding=rrwp"], ["encoding=rwse"])]
    assert len({identity(config) for config in configs}) == 3
    rows = differing_settings([("gin", config) for config in configs])
    assert [row["encoding.name"] for row in rows] == ["lappe+rwse", "rrwp", "rwse"]
    assert not [key for row in rows for key in row if key.endswith(("_target_", ".values"))]
    assert rows[0]["encoding.lappe.dim"] == 3 and rows[1]["encoding.steps"] == 20
