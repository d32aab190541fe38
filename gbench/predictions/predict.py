"""Ask a finished run again, about a part of its own data or about new data of the same form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gbench.data.names import unpacked
from gbench.data.source import Split
from gbench.errors import UserError, unknown
from gbench.finished import Code, Finished, restored
from gbench.losses import find as find_loss
from gbench.metrics import Labels
from gbench.predictions.new_data import on_new_data
from gbench.predictions.predictions import NO_LABEL, Array, Predictions, Scale, names_of

if TYPE_CHECKING:
    from gbench.data.dataset import Dataset

SPLITS = (*Split._fields, "all")


def predict(
    folder: Path | str,
    split: str = "test",
    data: Path | str | None = None,
    code: Code | None = None,
) -> Predictions:
    """What the run in a folder says of a part of its data, or of new data.

    `split` is train, valid, test or all; `data` a folder or file as data=folder reads it, whose
    labels need not be there, and which is predicted whole. `code` is as in `gbench eval --code`.

    Raises UserError for a run that has not finished or is not as it was, and for data that do not
    fit it.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    return asked(restored(Path(folder), code), split, data)


def asked(run: Finished, split: str = "test", data: Path | str | None = None) -> Predictions:
    """The same of a run that is at hand. Raises UserError for data that do not fit it."""
    if data is not None:
        new, notes = on_new_data(run, Path(data))
        ids = torch.arange(_num_items(new.task.dataset), device=new.task.dataset.split.train.device)
        return predictions(new, ids, str(data), notes)
    refuse_other_data(run)
    ids, notes = _ids(run, split)
    return predictions(run, ids, split, notes)


def refuse_other_data(run: Finished) -> None:
    """Raise UserError where the data are not what the run was tested on."""
    dataset, record = run.task.dataset, run.record
    if dataset.fingerprint != record.fingerprint:
        raise UserError(
            f"the data of {dataset.card.title} have changed since {record.run} was trained on them "
            "(another fingerprint): its items are not theirs. Train it again"
        )


def predictions(run: Finished, ids: Tensor, split: str, notes: tuple[str, ...]) -> Predictions:
    """What a run says of some items of the data that its task holds. Shapes: ids (T,)."""
    dataset, record = run.task.dataset, run.record
    card = dataset.card
    labels: Labels = "links" if card.level == "link" else card.labels
    logits, y = run.answers(ids, split)
    said = logits.detach().cpu().double().numpy()
    scale = _scale(run)
    items = ids.cpu().numpy()
    graph, names = _names(dataset, items)
    if scale == "score":
        whose = f"loss {card.loss} is your own"
        whose = f"{record.model} is no network" if record.is_floor else whose
        notes = (*notes, f"{whose}: scores are what the model says, and no probabilities")
    return Predictions(
        run=record.run,
        model=record.model,
        data=card.title,
        seed=record.seed,
        fold=record.fold,
        split=split,
        metric=card.metric,
        labels=labels,
        classes=names_of(dataset.names.classes, said.shape[1]),
        items=items,
        ids=names,
        graph=graph,
        true=_true(dataset, y.cpu(), items),
        scores=_scores(said, labels, scale),
        predicted=_predicted(said, labels, scale),
        parts=_parts(dataset.split, items) if split in SPLITS else np.full(len(items), "new"),
        ends=_ends(dataset, items),
        scale=scale,
        protocol=record.split,
        identity=record.identity,
        fingerprint=dataset.fingerprint,
        evaluator=card.evaluator,
        notes=notes,
    )


def _ids(run: Finished, split: str) -> tuple[Tensor, tuple[str, ...]]:
    """The items of a part, as many as the run was tested on, and what to tell of them."""
    dataset = run.task.dataset
    if split == "all":
        return torch.arange(_num_items(dataset), device=dataset.split.train.device), ()
    ids = run.task.part(split)
    whole = getattr(dataset.split, split).numel()
    if ids.numel() < whole:
        said = f"{ids.numel():,} of {whole:,} items: the run has trainer.limit_batches"
        return ids, (f"{split}: {said}={run.config['trainer']['limit_batches']}",)
    return ids, ()


def _num_items(dataset: Dataset) -> int:
    """Nodes, graphs or pairs as they were loaded: a transform may have added nodes behind them."""
    counts = {"node": "num_nodes", "graph": "num_graphs"}
    if dataset.spec.level == "link":
        return dataset.store.y.size(0)
    return dataset.statistics[counts[dataset.spec.level]]


def _scale(run: Finished) -> Scale:
    card = run.task.dataset.card
    if card.level == "link" and run.record.is_floor:
        return "score"  # such as numbers of common neighbours
    if card.labels == "numbers":
        return "value"
    return "score" if find_loss(card.loss, card.loss_labels).is_own else "probability"


def _scores(said: Array, labels: Labels, scale: Scale) -> Array:
    if scale != "probability":
        return said
    if labels != "classes":
        small = np.exp(-np.abs(said))
        return np.asarray(np.where(said >= 0, 1, small) / (1 + small))
    exponential = np.exp(said - said.max(axis=1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=1, keepdims=True))


def _predicted(said: Array, labels: Labels, scale: Scale) -> Array:
    if labels == "classes":
        return np.asarray(said.argmax(axis=1))  # the first of several alike
    if labels == "numbers":
        return said
    middle = 0.5 if scale == "value" else 0.0  # of links regressed to 0 and 1
    return (said > middle).astype(np.float64)


def _true(dataset: Dataset, y: Tensor, items: Array) -> Array:
    if y.is_floating_point():
        return np.asarray(y.double().numpy())
    true = y.numpy().astype(np.int64)
    known = dataset.labelled
    if known is not None and dataset.spec.level != "link":
        true = np.where(known.numpy()[items], true, NO_LABEL)
    return true


def _names(dataset: Dataset, items: Array) -> tuple[Array | None, Array]:
    """The graph of each item, where its nodes are of several, and what the item is called."""
    store, names = dataset.store, dataset.names
    if dataset.spec.level == "link":
        ends = _ends(dataset, items)
        assert ends is not None
        return None, np.array([f"{u}-{v}" for u, v in ends], dtype=object)
    ids = np.array(unpacked(names.ids), dtype=object)
    if dataset.spec.level == "graph" or store.num_graphs == 1:
        return None, ids[items] if len(ids) else items.astype(str).astype(object)
    first = store.ranges[0].numpy().astype(np.int64)
    place = np.searchsorted(first, items, side="right") - 1
    graph_ids = np.array(unpacked(names.graph_ids), dtype=object)
    graph = graph_ids[place] if len(graph_ids) else place.astype(str).astype(object)
    return graph, ids[items] if len(ids) else (items - first[place]).astype(str).astype(object)


def _ends(dataset: Dataset, items: Array) -> Array | None:
    """The two nodes of each pair, as they are called."""
    if dataset.spec.level != "link":
        return None
    assert dataset.store.pairs is not None
    pairs = dataset.store.pairs.cpu().numpy()[items]
    ids = np.array(unpacked(dataset.names.ids), dtype=object)
    return ids[pairs] if len(ids) else pairs.astype(str).astype(object)


def _parts(split: Split, items: Array) -> Array:
    """In which parts of the split each item is: one, or several that share it. Shapes: → (T,)."""
    parts = np.full(len(items), "", dtype=object)
    for name, ids in zip(Split._fields, split, strict=True):
        inside = np.isin(items, ids.cpu().numpy())
        parts[inside] = [f"{before}+{name}".lstrip("+") for before in parts[inside]]
    return parts
