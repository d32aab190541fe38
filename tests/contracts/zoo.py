"""Everything in gbench/conf that a contract is about, found by walking its folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import torch

from gbench.choices import stated
from gbench.config.compose import compose
from gbench.config.floors import networks
from gbench.contracts import tiny
from gbench.contracts.asked import with_encoding
from gbench.contracts.models.subject import Subject
from gbench.data.dataset import Dataset
from gbench.data.spec import DataCard
from gbench.limits import LIMITS, Interval, OneOf

MODELS = networks()
DATA: dict[str, tuple[str, str, Callable[[DataCard], Dataset]]] = {
    "nodes": ("node", "csbm", tiny.nodes),
    "graphs": ("graph", "csl", tiny.graphs),
    "molecules": ("graph", "csl", lambda card: tiny.graphs(card, are_molecules=True)),
}


def pairs() -> list[tuple[str, str]]:
    """Each model with each tiny dataset of a level that it does."""
    return [
        (model, data)
        for model in MODELS
        for data, (level, _, _) in DATA.items()
        if level in stated("model.levels", MODELS, model)
    ]


def subject(model: str, data: str, pe_dim: int = 0, **changes: Any) -> Subject:
    """A packaged model, 8 wide if its width is a setting, on one of the tiny datasets."""
    _, stands_for, make = DATA[data]
    config = deepcopy(composed(model, stands_for))
    width = {"hidden_dim": 8} if "hidden_dim" in config["model"] else {}
    config["model"] |= width | changes
    dataset = make(DataCard.from_config(config["data"]))
    dataset = with_encoding(dataset, config)  # of a model that chooses one
    if pe_dim:
        torch.manual_seed(0)
        pe = torch.rand(dataset.store.num_nodes, pe_dim)
        spec, store = replace(dataset.spec, pe_dim=pe_dim), replace(dataset.store, pe=pe)
        dataset = replace(dataset, spec=spec, store=store)
    return Subject(config, dataset)


@cache
def composed(model: str, data: str) -> dict[str, Any]:
    return compose([f"model={model}", f"data={data}", "experiment=null"])


def variants(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each other word, the other of true and false, the least number of each setting.

    Of 1 and 2 also one more: a third layer is the first from hidden to hidden, a second head the
    first that meets another.
    """
    for key, value in settings.items():
        allowed = LIMITS.get(f"model.{key}")
        if isinstance(value, bool):
            yield {key: not value}
        elif isinstance(allowed, OneOf):
            yield from ({key: word} for word in allowed.words if word != value)
        elif isinstance(allowed, Interval) and isinstance(value, int):
            more = [value + 1] if value in (1, 2) else []
            yield from ({key: number} for number in {int(allowed.low), *more} - {value})
