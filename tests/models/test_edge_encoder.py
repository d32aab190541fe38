"""Edges as vectors: by their own formula, and with a gradient that is summed in one order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from gbench.data.spec import DataSpec
from gbench.models.edge_encoder import EdgeEncoder
from tests.in_order import InOrder

COMBOS = torch.tensor([[0, 1], [2, 0], [1, 1]])
CODE = torch.tensor([0, 2, 2, 1, 2, 0], dtype=torch.uint8)


def test_numbers_and_categories_are_added_in_one_order() -> None:
    torch.manual_seed(0)
    numbers = torch.randn(6, 4)
    batch: Any = SimpleNamespace(edge_combos=COMBOS, edge_code=CODE, edge_attr=numbers)
    encoder = EdgeEncoder(DataSpec("graph", 2, 3, edge_dim=4, edge_categories=(3, 2)), 5)
    assert encoder.embeddings is not None and encoder.linear is not None
    with InOrder():
        out = encoder(batch)
        assert out is not None
        out.square().sum().backward()
    table = encoder.embeddings.table.detach().double().requires_grad_()
    rows = COMBOS[CODE.long()]
    given = numbers.double() @ encoder.linear.weight.double().t() + encoder.linear.bias.double()
    expected = given.detach() + table[rows[:, 0]] + table[3 + rows[:, 1]]
    torch.testing.assert_close(out.double(), expected.detach(), rtol=1e-5, atol=1e-6)
    expected.square().sum().backward()
    found = encoder.embeddings.table.grad
    assert found is not None
    torch.testing.assert_close(found.double(), table.grad, rtol=1e-5, atol=1e-5)
