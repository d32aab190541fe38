"""All contracts of a model, in the order in which they are told."""

from __future__ import annotations

from gbench.contracts.contract import Contract
from gbench.contracts.models import (
    answers,
    batching,
    bf16,
    gradient,
    labels,
    layer_wise,
    node_order,
    padding,
    repeatable,
    sparse,
    state,
)
from gbench.contracts.models.subject import Subject

ROOMS = (
    answers,
    repeatable,
    node_order,
    batching,
    padding,
    labels,
    state,
    gradient,
    bf16,
    sparse,
    layer_wise,
)
CONTRACTS: tuple[Contract[Subject], ...] = tuple(room.CONTRACT for room in ROOMS)
