"""Weights and numbers of edges, numbers of nodes: each model reads what it says it reads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gbench.contracts import tiny
from gbench.contracts.models.subject import Subject
from gbench.errors import UserError
from gbench.models.needs import reads

from .zoo import pairs, subject

NAMES = ("edge_weight", "edge_attr", "x_numbers")


def models() -> list[tuple[str, str]]:
    """Each model on nodes, and where it takes graphs on molecules."""
    return [pair for pair in pairs() if pair[1] != "graphs"]


@pytest.mark.parametrize(("model", "data"), models())
def test_a_model_reads_what_it_says(model: str, data: str) -> None:
    plain = subject(model, data)
    thing = Subject(plain.config, tiny.with_values(plain.dataset))
    try:
        task = thing.trained()
    except UserError as error:  # it has no such form, and says so
        assert "edge" in str(error) or "weight" in str(error) or "numbers" in str(error)
        return
    batch = thing.batch(task.model, thing.pieces, torch.float32)
    answers = thing.answers_to(task.model.eval(), batch)
    assert bool(answers.isfinite().all())
    for name in NAMES:
        given = getattr(batch, name)
        if given is None:
            continue
        # values of both directions stay alike
        changed = replace(batch, memo={}, **{name: given.square() + 0.25})
        differs = not torch.allclose(answers, thing.answers_to(task.model, changed), atol=1e-6)
        assert differs == reads(task.model, name), name
