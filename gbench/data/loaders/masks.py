"""Splits that a saved graph states as masks or as indices of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gbench.data.loaders.own_splits import strata, validation_note
from gbench.data.loaders.saved_graphs import Found, as_tensor
from gbench.data.loaders.splits import with_validation
from gbench.data.source import Split

if TYPE_CHECKING:
    from gbench.data.own_kinds import Description, Items

MASKS = {  # as people name them, for each part
    "train": ("train_mask", "train_idx", "train_index", "train"),
    "valid": ("val_mask", "valid_mask", "validation_mask", "val_idx", "valid_idx", "val_index",
              "valid_index", "valid", "val", "validation"),
    "test": ("test_mask", "test_idx", "test_index", "test"),
}  # fmt: skip
SPLIT_KEYS = (*(name for names in MASKS.values() for name in names), "split_idx")


def num_splits(found: Found) -> int:
    """How many splits the masks of the only graph state; 0: there are none."""
    parts = _parts(found)
    return max((mask.shape[1] for mask in parts.values()), default=0)


def splits_of(found: Found, about: Description, items: Items) -> tuple[list[Split], list[str]]:
    """The splits, and what to tell of them; no splits where there are no masks.

    Raises UserError for masks that are no split: parts that share a node, that are empty, or hold
    nodes without a label.
    """
    parts = _parts(found)
    splits, notes = list[Split](), list[str]()
    for k in range(num_splits(found)):
        chosen = {part: np.flatnonzero(mask[:, k % mask.shape[1]]) for part, mask in parts.items()}
        for part, nodes in chosen.items():
            if not nodes.size:
                found.fault(f"the {part} mask of split {k} is empty")
            unknown = nodes[~items.is_known[nodes]]
            if unknown.size:
                found.fault(f"node {unknown[0]} is in a mask but has no label ({part}, split {k})")
        for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
            if one in chosen and other in chosen:
                shared = np.intersect1d(chosen[one], chosen[other])
                if shared.size:
                    found.fault(
                        f"the {one} and {other} masks of split {k} share {shared.size:,} nodes, "
                        f"such as node {shared[0]}: a node belongs to one part"
                    )
        if "valid" in chosen:
            splits.append(Split(*(torch.from_numpy(chosen[part]) for part in Split._fields)))
            continue
        if chosen["train"].size < 2:
            found.fault("there is no val_mask, and one training node, which cannot be divided")
        labels = strata(about, items)
        splits.append(with_validation(chosen["train"], chosen["test"], labels, seed=k))
        if not notes:
            notes.append(validation_note(f"the masks of {found.path.name}", splits[0]))
    return splits, notes


def _parts(found: Found) -> dict[str, np.ndarray]:
    """The masks of each part. Shapes: (N, splits), or (N, 1) for one that serves all."""
    (graph,) = found.graphs
    given = dict(graph)
    if isinstance(given.get("split_idx"), Mapping):
        given.update(given["split_idx"])
    parts = {}
    for part, names in MASKS.items():
        for name in names:
            mask = as_tensor(given.get(name))
            if isinstance(mask, torch.Tensor) and mask.dim():
                parts[part] = _mask(found, name, mask)
                break
    if "valid" in parts and not parts["valid"].any():  # as RandomNodeSplit(num_val=0) leaves it
        del parts["valid"]
    if parts and ("train" not in parts or "test" not in parts):
        missing = "train_mask" if "train" not in parts else "test_mask"
        found.fault(
            f"there are masks, but no {missing}: save one, or write splits.csv beside the file, "
            "and gbench reads that instead"
        )
    counts = {mask.shape[1] for mask in parts.values()} - {1}
    if len(counts) > 1:
        found.fault(f"the masks state different numbers of splits: {sorted(counts)}")
    return parts


def _mask(found: Found, name: str, mask: Any) -> np.ndarray:
    """One mask of nodes, or indices of them, as booleans. Shapes: (N,) or (N, K) → (N, K)."""
    size, array = found.sizes[0], mask.numpy()
    is_bits = array.dtype == bool or bool(np.isin(array, (0, 1)).all())
    if (
        is_bits
        and array.ndim in (1, 2)
        and len(array) == size
        and not name.endswith(("idx", "index"))
    ):
        bits: np.ndarray = array.reshape(size, -1).astype(bool)
        return bits
    is_index = array.ndim == 1 and array.dtype.kind in "iu" and not name.endswith("mask")
    if not is_index:
        found.fault(
            f"{name} has shape {tuple(array.shape)}, expected ({size},) or ({size}, splits)"
        )
    if array.size and not (array.min() >= 0 and array.max() < size):
        found.fault(f"{name} names nodes outside 0..{size - 1}")
    bits = np.zeros((size, 1), dtype=bool)
    bits[array] = True
    return bits
