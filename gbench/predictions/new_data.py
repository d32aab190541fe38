"""A finished run's model on new data of the same form as its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gbench import folders
from gbench.build import laid_out, task_of
from gbench.data.check import check_source
from gbench.data.dataset import Dataset
from gbench.data.files.fingerprint import fingerprint
from gbench.data.load import load
from gbench.data.loaders.unseen import read_unseen
from gbench.data.names import Names
from gbench.data.source import Source, Split
from gbench.data.spec import DataCard, DataSpec
from gbench.data.store import pack
from gbench.errors import UserError
from gbench.finished import Finished
from gbench.floors.answering import FloorTask
from gbench.models.edge_weights import check_weights
from gbench.train.task import Task

# what a model is built by, and so must be the same, with what the user calls it
BUILT_BY = {
    "num_features": "features of nodes",
    "node_categories": "categories of nodes",
    "edge_categories": "categories of edges",
    "num_numbers": "numbers beside categories of nodes",
    "edge_dim": "numbers of edges",
    "has_edge_weight": "edge weights",
    "pe_dim": "columns of encodings",
    "pair_dim": "encodings of pairs",
    "encodings": "encodings",
    "pair_encodings": "encodings of pairs",
}


def on_new_data(run: Finished, path: Path) -> tuple[Finished, tuple[str, ...]]:
    """The run with its model in a task on the new data, and what to tell of these.

    They go the way of the training data: features divided by their sums where those were, the same
    transforms and encodings. Raises UserError for data that do not fit, with the file and the line.
    """
    if isinstance(run.task, FloorTask):
        raise UserError(
            f"--data {path}: {run.record.model} is no network: it was fitted to the data of "
            f"{run.record.run}, and answers about these alone"
        )
    config, trained = run.config, run.task.dataset
    card = trained.card
    if card.level == "link":
        raise UserError(
            f"--data {path}: {run.record.run} tells pairs of nodes of one graph apart, and a "
            "folder has nodes or graphs to predict"
        )
    assert isinstance(run.task, Task)
    if trained.store.teacher is not None:
        raise UserError(
            f"--data {path}: {run.record.run} reads what its teacher says of each item, and the "
            "teacher has said nothing of new data"
        )
    cache_dir = folders.cache_dir(config["cache_dir"])
    data_dir, place = folders.data_dir(config["data_dir"]), config.get("data_source", "")
    before = load(DataCard.from_config(config["data"]), data_dir, cache_dir, place)
    source = read_unseen(path, before.card, before.spec, before.names)
    dataset = laid_out(_prepared(source, before, path), config, cache_dir)
    _check_alike(dataset.spec, trained.spec, path)
    dataset = replace(dataset, spec=trained.spec)
    model = run.task.model
    check_weights(model, config["model"]["name"], dataset)
    task = task_of(model, dataset, {**config, "trainer": _whole(config)}, cache_dir)
    task.to(run.task.device)
    task.place_data(run.task.device)
    return replace(run, task=task), tuple(dict.fromkeys(source.notes))


def _whole(config: dict[str, object]) -> dict[str, object]:
    settings = config["trainer"]
    assert isinstance(settings, dict)
    return {**settings, "limit_batches": 0}


def _prepared(source: Source, before: Dataset, path: Path) -> Dataset:
    """The new graphs checked and packed; every part of their split is all of them."""
    level = before.card.level
    card = replace(
        before.card,
        num_folds=1,
        fold=0,
        parts="all-one",
        folder=str(path),
        download=[{"url": "", "files": {}}],
    )
    graphs = torch.arange(len(source.graphs))
    is_one = level == "node" and len(source.graphs) == 1
    units = torch.arange(source.graphs[0].x.size(0)) if is_one else graphs
    check_source(card, source._replace(splits=[Split(units, units, units)]))
    store = pack(source.graphs, level)
    if card.normalize_features:
        store.x.div_(store.x.sum(dim=1, keepdim=True).clamp(min=1e-12))
    items = torch.arange(store.num_graphs if level == "graph" else store.num_nodes)
    spec = replace(
        before.spec,
        num_features=store.x.size(1),
        node_categories=source.node_categories,
        edge_categories=source.edge_categories,
        statistics={},
    )
    tensors: dict[str, Tensor] = store.tensors()
    return Dataset(
        before.card,
        store.told(spec),
        store,
        Split(items, items, items),
        fingerprint(tensors, "new data"),
        {"num_graphs": store.num_graphs, "num_nodes": store.num_nodes},
        notes=tuple(source.notes),
        names=Names.of(source),
    )


def _check_alike(new: DataSpec, trained: DataSpec, path: Path) -> None:
    """Raise UserError where the model was built for other data."""
    for name, called in BUILT_BY.items():
        here, there = getattr(new, name), getattr(trained, name)
        if here != there:
            raise UserError(
                f"--data {path}: {called}: {_told(here)} here, and {_told(there)} in the data that "
                "the run was trained on"
            )
    if new.is_directed and not trained.is_directed:
        raise UserError(
            f"--data {path}: some edges have no reverse, and in the data that the run was trained "
            "on every edge has: store each edge in both directions"
        )


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "some" if value else "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
