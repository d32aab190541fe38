"""Which published setting a model on a dataset has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gbench.choices import choices, default_choice, is_packaged, stated, takes_place


def experiment_of_pair(
    picks: Mapping[str, str], split: Sequence[str], config_dirs: Sequence[Path]
) -> dict[str, str]:
    """The published setting of the model on this data, if there is one and no other was named.

    `split` is the word that chooses one, if any: MODEL-DATA is for the split that it states itself,
    else the dataset's usual one; for any other there may be MODEL-DATA-SPLIT.
    """
    if "experiment" in picks:
        return {}
    model, data = (picks.get(group, default_choice(group)) for group in ("model", "data"))
    experiments, name = choices("experiment", config_dirs), f"{model}-{data}"
    for group, choice in (("model", model), ("data", data)):
        path = choices(group, config_dirs).get(choice)
        if path and takes_place(group, path):  # what is published is of gbench's
            experiments = {key: p for key, p in experiments.items() if not is_packaged(p)}
    if split:
        chosen = split[-1].removeprefix("data.split=")
        own = split_of(name, data, experiments, choices("data", config_dirs))
        name = name if chosen == own else f"{name}-{chosen}"
    return {"experiment": name} if name in experiments else {}


def split_of(
    experiment: str, data: str, experiments: Mapping[str, Path], datasets: Mapping[str, Path]
) -> Any:
    """The split that an experiment states, else the usual one of its dataset."""
    return stated("data.split", experiments, experiment) or stated("split", datasets, data)
