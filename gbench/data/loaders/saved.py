"""A dataset as PyG saves it: a `Data`, a list of them, or what `InMemoryDataset.save` writes.

torch's own restricted unpickler reads it, with PyG's plain containers allowed, so that nothing in
the file can run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gbench.data.loaders.splits import of_masks
from gbench.data.own import Items
from gbench.data.source import Graph, Source
from gbench.errors import UserError

if TYPE_CHECKING:
    from gbench.data.own import Description
    from gbench.data.spec import Level

KEYS = ("x", "edge_index", "edge_attr", "y")
MASKS = ("train_mask", "val_mask", "test_mask")

Columns = dict[str, list[Any]]  # what each graph has under a name


def kind_of(path: Path) -> tuple[Level, str, int]:
    """Level, task and number of splits of a saved dataset, by what its tensors look like.

    Whole numbers are classes. Numbers that are all 0, 1 or NaN, and several columns of them, are
    tasks of their own (multi-label); others are to be regressed. `train_mask`, `val_mask` and
    `test_mask` are splits. Raises UserError for a file that holds anything else.
    """
    found = _read(path)
    level: Level = "node" if len(found["y"]) == 1 and _rows(found["y"][0]) > 1 else "graph"
    y = _labels(found, level)
    is_number = y.is_floating_point()
    is_bits = bool(((y == 0) | (y == 1) | y.isnan()).all())
    if y.size(1) == 1 and not is_number:
        task = "classification"
    elif is_bits:
        task = "multi-label"
    elif is_number:
        task = "regression"
    else:
        raise UserError(f"{path}: y has {y.size(1)} columns of whole numbers; one are classes")
    return level, task, _masks(found).size(2) if level == "node" and _has_masks(found) else 0


def read_saved(path: Path, about: Description) -> tuple[Source, Items]:
    """The graphs, with the splits that their masks state, and their labels (-1 or NaN: unknown)."""
    import pandas

    found = _read(path)
    y = _labels(found, about.level)
    if about.task == "classification":
        y = y.squeeze(1).long()
        is_known, num_outputs = y >= 0, int(y.max()) + 1
        y = y.clamp(min=0)
    else:
        y, num_outputs = y.float(), y.size(1)
        is_known = y.isnan().logical_not()
        is_known = is_known.any(dim=1) if about.task == "multi-label" else is_known.all(dim=1)
    items = Items(pandas.Series([str(i) for i in range(len(y))]), y, is_known.numpy(), num_outputs)

    xs, node_categories = _node_features(found)
    attrs, edge_categories = _edge_categories(path, found)
    ys = y.split(1) if about.level == "graph" else [y]
    graphs = [Graph(*parts) for parts in zip(xs, found["edge_index"], ys, attrs, strict=True)]
    splits = []
    if about.level == "node" and _has_masks(found):
        splits = [of_masks(*masks) for masks in _masks(found).permute(2, 0, 1).numpy()]
        unknown = [i for split in splits for part in split for i in part[~is_known[part]].tolist()]
        if unknown:
            raise UserError(f"{path}: node {unknown[0]} is in a mask but has no label")
    return Source(graphs, splits, num_outputs, node_categories, edge_categories), items


def _read(path: Path) -> Columns:
    from torch_geometric.data import Data
    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    allowed = [Data, DataEdgeAttr, DataTensorAttr, GlobalStorage]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises whatever its bytes happen to say
        wants = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it wants {wants[1]}, which is not data" if wants else type(error).__name__
        raise UserError(
            f"{path} is no saved PyG dataset that gbench reads ({reason}): it may hold Data "
            "objects, lists of them, and tensors, as torch.save(data, path) writes them"
        ) from error
    if isinstance(content, Data):
        return _checked(path, _columns([content.to_dict()]))
    if isinstance(content, list) and content and all(isinstance(item, Data) for item in content):
        return _checked(path, _columns([item.to_dict() for item in content]))
    if isinstance(content, tuple) and len(content) in (2, 3):
        data, slices = content[:2]
        stored = data.to_dict() if isinstance(data, Data) else data
        if isinstance(stored, Mapping) and slices is None:
            return _checked(path, _columns([stored]))
        if isinstance(stored, Mapping) and isinstance(slices, Mapping):
            return _checked(path, _cut(stored, slices))
    raise UserError(
        f"{path} holds {type(content).__name__}, not a PyG Data, a list of them, or what "
        "InMemoryDataset.save writes"
    )


def _columns(graphs: Sequence[Mapping[str, Any]]) -> Columns:
    found: Columns = {
        key: [graph.get(key) for graph in graphs] for key in (*KEYS, *MASKS, "num_nodes")
    }
    return {key: column for key, column in found.items() if any(v is not None for v in column)}


def _cut(stored: Mapping[str, Any], slices: Mapping[str, Tensor]) -> Columns:
    """Cut what InMemoryDataset laid end to end back into graphs."""
    found: Columns = {}
    for key in (*KEYS, *MASKS):
        value, bounds = stored.get(key), slices.get(key)
        if isinstance(value, Tensor) and bounds is not None:
            sizes = torch.as_tensor(bounds).diff().tolist()
            found[key] = list(value.split(sizes, dim=1 if key == "edge_index" else 0))
    if "_num_nodes" in stored:
        found["num_nodes"] = list(stored["_num_nodes"])
    return found


def _checked(path: Path, found: Columns) -> Columns:
    """Fill in what PyG leaves out; raise UserError for graphs that lack what others have."""
    for key in ("edge_index", "y"):
        if key not in found:
            raise UserError(f"{path}: the graphs have no {key}")
    for key, column in found.items():
        for i, value in enumerate(column):
            if key != "num_nodes" and not isinstance(value, Tensor):
                raise UserError(f"{path}: graph {i} has no tensor {key}, but others have one")
    if "x" not in found:
        sizes = found.get("num_nodes") or [
            int(edges.max()) + 1 if edges.numel() else 1 for edges in found["edge_index"]
        ]
        if sizes == [1]:  # one graph, whose nodes are counted by their labels
            sizes = [_rows(found["y"][0])]
        found["x"] = [torch.ones(int(size), 1) for size in sizes]
    return found


def _rows(y: Tensor) -> int:
    return y.size(0) if y.dim() else 1


def _labels(found: Columns, level: Level) -> Tensor:
    """All labels in one table. Shapes: (N, T) of nodes or (G, T) of graphs."""
    if level == "node":
        y: Tensor = found["y"][0]
        return y.view(y.size(0), -1)
    return torch.cat([y.view(1, -1) for y in found["y"]])


def _has_masks(found: Columns) -> bool:
    return all(key in found for key in MASKS)


def _masks(found: Columns) -> Tensor:
    """Train, valid and test of each split; one mask may serve all. Shapes: (3, N, splits)."""
    masks = [found[key][0] for key in MASKS]
    masks = [mask.unsqueeze(1) if mask.dim() == 1 else mask for mask in masks]
    return torch.stack(torch.broadcast_tensors(*masks))


def _node_features(found: Columns) -> tuple[list[Tensor], tuple[int, ...] | None]:
    """Float features, or whole numbers from 0 as categories."""
    xs = [x.to_dense() if x.layout != torch.strided else x for x in found["x"]]
    xs = [x.unsqueeze(1) if x.dim() == 1 else x for x in xs]
    every = torch.cat(xs)
    if every.is_floating_point() or every.dtype == torch.bool or int(every.min()) < 0:
        return [x.float() for x in xs], None
    return xs, tuple((every.amax(dim=0) + 1).tolist())


def _edge_categories(
    path: Path, found: Columns
) -> tuple[list[Tensor | None], tuple[int, ...] | None]:
    if "edge_attr" not in found:
        return [None] * len(found["y"]), None
    attrs = [attr.unsqueeze(1) if attr.dim() == 1 else attr for attr in found["edge_attr"]]
    every = torch.cat(attrs)
    whole = every.long()
    if not torch.equal(whole.to(every.dtype), every) or (every.numel() and int(whole.min()) < 0):
        raise UserError(
            f"{path}: edge_attr holds numbers that are no categories (whole numbers from 0): "
            "save the graphs without it"
        )
    sizes = (whole.amax(dim=0) + 1).tolist() if every.numel() else [1] * every.size(1)
    return [attr.long() for attr in attrs], tuple(sizes)
