"""What `gbench data get` and `gbench data info` say of the labels of a dataset."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gbench.data.labels import doubts
from gbench.data.source import Source
from gbench.data.spec import DataCard
from gbench.data.store import GraphStore

MOST_SHOWN = 12  # classes or targets by name; of more, the first ten and the last


def rows(card: DataCard, source: Source, y: Tensor) -> dict[str, str]:
    """Classes with their counts, or targets with their range; what is unlabelled; and the files.

    Shapes: y as it is packed, (N,) int64 or (N, T) float.
    """
    if card.level == "link":
        return dict(source.told)
    items = y.size(0)
    if card.labels == "classes":
        names, counts = classes(source, y)
        named = [f"{name} ({count:,})" for name, count in zip(names, counts, strict=True)]
        return {
            "classes": f"{len(names):,}: {_some(named)}",
            **_unlabelled(card, items - sum(counts), items),
            **source.told,
        }
    is_known = ~y.isnan()
    if card.labels == "tasks":
        texts = [
            f"{int((y[:, k] == 1).sum()):,} of {int(is_known[:, k].sum()):,}"
            for k in range(y.size(1))
        ]
        facts = {"positive": _some(_named(source, texts))}
    else:
        columns = [y[is_known[:, k], k] for k in range(y.size(1))]
        texts = [
            f"{float(c.min()):.4g} to {float(c.max()):.4g}, mean {float(c.double().mean()):.4g}"
            if c.numel()
            else "none"
            for c in columns
        ]
        facts = {"targets": _some(_named(source, texts))}
    gaps = int((~is_known).sum() - is_known.logical_not().all(dim=1).sum() * y.size(1))
    if gaps:
        facts["gaps"] = f"{gaps:,} of {y.numel():,} entries, left out of loss and metric"
    none = int(is_known.logical_not().all(dim=1).sum())
    return {**facts, **_unlabelled(card, none, items), **source.told}


def weights(store: GraphStore) -> dict[str, str]:
    """The range of edge weights, and how many edges weigh otherwise than their reverse."""
    weight = store.edge_weight
    if weight is None or not weight.numel():
        return {}
    said = (
        f"{float(weight.min()):.4g} to {float(weight.max()):.4g}, mean {float(weight.mean()):.4g}"
    )
    if store.out_degree is None:  # every edge has its reverse
        reverse = weight[store.union()[0].perm_t.long()]
        if other := int((weight != reverse).sum()) // 2:
            said += f"; of {other:,} pairs of nodes the two directions differ, and stay as stated"
    return {"weights": said}


def notes(card: DataCard, source: Source, y: Tensor) -> list[str]:
    """What a user must know before training."""
    if card.labels != "classes" or not source.classes:
        return list(source.notes)
    where = "dataset.yaml" if card.is_own_folder else "its YAML"
    return [*source.notes, *doubts(*classes(source, y), where)]


def classes(source: Source, y: Tensor) -> tuple[list[str], list[int]]:
    """The names of the classes and how many items each has."""
    known = y if source.labelled is None else y[source.labelled]
    counts = torch.bincount(known, minlength=source.num_outputs).tolist()
    return list(source.classes) or [str(k) for k in range(source.num_outputs)], counts


def _unlabelled(card: DataCard, count: int, items: int) -> dict[str, str]:
    return {"unlabelled": f"{count:,} of {items:,} {card.item}"} if count else {}


def _named(source: Source, texts: Sequence[str]) -> list[str]:
    names = source.classes or [""] * len(texts)
    return [f"{name} {text}".lstrip() for name, text in zip(names, texts, strict=True)]


def _some(texts: Sequence[str]) -> str:
    if len(texts) > MOST_SHOWN:
        texts = [*texts[:10], "...", texts[-1]]
    return "; ".join(texts) if any(", " in text for text in texts) else ", ".join(texts)
