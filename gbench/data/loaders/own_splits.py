"""Splits of a folder of one's own: those of splits.csv, or ten that are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.splits import VALIDATION, spread, stratified, with_validation
from gbench.data.own_kinds import FOLDS_DRAWN, Description, Items, table_of
from gbench.data.source import Split
from gbench.errors import UserError, unknown


def read_splits(folder: Path, about: Description, items: Items) -> tuple[list[Split], list[str]]:
    """The splits of splits.csv, and what to tell of them. Raises UserError for the first fault."""
    table, kind = table_of(folder, "splits.csv"), about.level
    item, words = table.places("id", items.ids, kind), table.words("part")
    table.refuse(
        ~words.isin(Split._fields),
        lambda row: str(unknown("part", words[row], Split._fields)),
    )
    part = words.map({name: i for i, name in enumerate(Split._fields)}).to_numpy(dtype=np.int64)
    fold = np.zeros_like(part)
    if "fold" in table.columns:
        fold = table.words("fold").to_numpy(dtype=np.int64)
    _, first, same = np.unique(fold * len(items.ids) + item, return_index=True, return_inverse=True)
    again = first[same]

    def twice(row: int) -> str:
        before = f"{words[again[row]]} part in line {table.line_of(int(again[row]))}"
        return f"{kind} '{items.ids[item[row]]}' is in the {before} already"

    table.refuse(again != np.arange(len(table)), twice)
    table.refuse(
        ~items.is_known[item],
        lambda row: f"{kind} '{items.ids[item[row]]}' is in the {words[row]} part without a label",
    )
    splits, drawn_for = [], []
    for k in range(about.num_folds):
        chosen = [np.sort(item[(fold == k) & (part == i)]) for i in range(3)]
        if chosen[0].size > 1 and chosen[2].size and not chosen[1].size:
            drawn_for.append(k)
            splits.append(with_validation(chosen[0], chosen[2], strata(about, items), seed=k))
            continue
        for name, members in zip(Split._fields, chosen, strict=True):
            if not members.size:
                raise UserError(f"{table.path}: fold {k} has nothing in its {name} part")
        splits.append(Split(*map(torch.from_numpy, chosen)))
    notes = [f"splits.csv: {column} is left out: it has no name" for column in table.left_out]
    if drawn_for:
        notes.append(validation_note("splits.csv", splits[drawn_for[0]]))
    return splits, notes


def validation_note(where: str, split: Split) -> str:
    """What to tell of a split whose validation part is drawn here."""
    return (
        f"no validation part in {where}: {len(split.valid):,} items, {VALIDATION * 100:.0f} % of "
        "the training part, are drawn for it; the test part is as given"
    )


def strata(about: Description, items: Items) -> np.ndarray:
    """What a draw takes the same share of: the class, where there are classes. Shapes: (N,)."""
    is_class = about.task == "classification"
    return items.y.numpy() if is_class else np.zeros(len(items.is_known), dtype=np.int64)


def drawn(folder: Path, about: Description, items: Items) -> tuple[list[Split], list[str]]:
    """Ten random splits of what has a label, of each class alike where there are classes.

    Raises UserError for fewer than three items.
    """
    known = np.flatnonzero(items.is_known)
    if known.size < 3:
        raise UserError(
            f"{folder}: {known.size} {about.level}{'s'[: known.size != 1]} with a label cannot be "
            "split into three parts: label more, or write splits.csv"
        )
    labels, splits = strata(about, items)[known], []
    notes = [
        f"{FOLDS_DRAWN} random splits into 60, 20 and 20 % are drawn, one for each fold: these are "
        "no cross-validation, and their test parts overlap; splits.csv fixes others"
    ]
    for fold in range(FOLDS_DRAWN):
        split = stratified(labels, train=0.6, valid=0.2, seed=fold)
        if not all(part.numel() for part in split):
            split = spread(labels, train=0.6, valid=0.2, seed=fold)
        splits.append(Split(*(torch.from_numpy(known[part.numpy()]) for part in split)))
    return splits, notes
