"""The graphs in a saved PyG dataset, and the names of all that is beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from gbench.data.loaders.unpickle import Unread, unpickled
from gbench.data.other_kinds import KINDS, mesh, refusal
from gbench.errors import UserError

READ = ("x", "edge_index", "edge_attr", "y", "adj_t")  # what may become part of a dataset
COUNTED = ("x", "pos", "z", "batch", "node_species", "train_mask", "val_mask", "test_mask")


@dataclass
class Found:
    """What a file holds: of each graph what `READ` names, and what else there is, by name."""

    path: Path
    graphs: list[dict[str, Any]]
    others: dict[str, str]  # the name of what is not read, and the name with its shape
    sizes: list[int] = field(default_factory=list)  # numbers of nodes
    notes: list[str] = field(default_factory=list)

    def has(self, key: str) -> bool:
        return any(graph.get(key) is not None for graph in self.graphs)

    def column(self, key: str) -> list[Any]:
        return [graph[key] for graph in self.graphs]

    def fault(self, problem: str) -> NoReturn:
        raise UserError(f"{self.path}: {problem}")


def read_graphs(path: Path, *, needs_labels: bool = True) -> Found:
    """The graphs of a file. Raises UserError for what is no dataset, and for half a graph."""
    graphs = _graphs(path, unpickled(path))
    names = dict.fromkeys(key for graph in graphs for key in graph)
    others = {key: _shown(key, graphs) for key in names if key not in (*READ, *_BOOKS)}
    found = Found(path, graphs, others)
    for graph in graphs:
        for key in ("x", "edge_index", "edge_attr", "adj_t"):
            graph[key] = as_tensor(graph.get(key))
    _read_adjacency(found)
    if told := mesh(names, has_edges=found.has("edge_index")):
        found.fault(told)
    if not found.has("edge_index"):
        found.fault("the graphs have no edge_index")
    if needs_labels and not found.has("y"):
        found.fault("the graphs have no y")
    for key in ("x", "edge_index", "edge_attr"):
        for i, graph in enumerate(graphs):
            is_gap = found.has(key) and not isinstance(graph[key], Tensor)
            if is_gap and key == "edge_attr" and not graph["edge_index"].numel():
                graph[key] = torch.zeros(0, 0, dtype=torch.long)
            elif is_gap:
                found.fault(f"graph {i} has no tensor {key}, but others have one")
    for graph in graphs:
        if graph["edge_index"].shape == (0,):
            graph["edge_index"] = graph["edge_index"].view(1, 0).expand(2, 0)
    found.sizes = [_num_nodes(found, i) for i in range(len(graphs))]
    return found


_BOOKS = ("num_nodes", "_num_nodes", "ptr")  # what PyG keeps beside the data


def _graphs(path: Path, content: Any) -> list[dict[str, Any]]:
    """The content of a file as one mapping for each graph."""
    if isinstance(content, Unread) and "slices" in content.state:  # a dataset as an object
        data = content.state.get("_data", content.state.get("data"))
        graphs = _graphs(path, (data, content.state["slices"]))
        chosen = content.state.get("_indices")
        if chosen is None:
            return graphs
        if not isinstance(chosen, list | tuple | Tensor | np.ndarray):
            raise UserError(f"{path} holds a part of a dataset: save a list, as in [*dataset[:10]]")
        return [graphs[int(i)] for i in chosen]
    if isinstance(content, Mapping) and ("edge_index" in content or "adj_t" in content):
        return [dict(content)]
    if (stored := _stored(content)) is not None:
        return [stored]
    if isinstance(content, list | tuple) and content:
        inner = [_stored(item) for item in content]
        if all(item is not None for item in inner):
            return [item for item in inner if item is not None]
    if isinstance(content, tuple) and len(content) in (2, 3):
        first, slices = content[:2]
        data = dict(first) if isinstance(first, Mapping) else _stored(first)
        if data is not None and slices is None:
            return [data]
        if data is not None and isinstance(slices, Mapping):
            return _cut(path, data, slices)
    kinds = [content, *content] if isinstance(content, list | tuple) else [content]
    for kind in map(_kind, kinds):
        if told := refusal(kind):
            raise UserError(f"{path} holds {told}")
    raise UserError(
        f"{path} holds {_kind(content)}, not a PyG Data, a list of them, or what "
        "InMemoryDataset.save writes"
    )


def _kind(content: Any) -> str:
    return type(content).__name__


def _stored(item: Any) -> dict[str, Any] | None:
    """What a Data holds, also of a class that was derived from it."""
    from torch_geometric.data import Data
    from torch_geometric.data.storage import GlobalStorage

    if isinstance(item, Data):
        return dict(item.to_dict())
    is_data = isinstance(item, Unread) and isinstance(item.state.get("_store"), GlobalStorage)
    is_plain = is_data and _kind(item) not in KINDS
    return dict(item.state["_store"].to_dict()) if is_plain else None


def _cut(path: Path, stored: Mapping[str, Any], slices: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Cut what InMemoryDataset laid end to end back into graphs."""
    counts = {len(bounds) - 1 for bounds in slices.values() if bounds is not None}
    if len(counts) != 1:
        raise UserError(f"{path}: its slices are of {sorted(counts)} graphs: save it again")
    graphs: list[dict[str, Any]] = [{} for _ in range(counts.pop())]
    for key, value in stored.items():
        bounds = slices.get(key)
        if isinstance(value, Tensor) and value.dim() and bounds is not None:
            sizes = torch.as_tensor(bounds).diff().tolist()
            pieces: Sequence[Any] = value.split(sizes, dim=-1 if "index" in key else 0)
        elif isinstance(value, list) and len(value) == len(graphs):
            pieces = value
        else:
            pieces = [value] * len(graphs)
        for graph, piece in zip(graphs, pieces, strict=True):
            graph["num_nodes" if key == "_num_nodes" else key] = piece
    return graphs


def as_tensor(value: Any) -> Any:
    """Numbers in any form as a tensor; anything else as it is."""
    if isinstance(value, np.ndarray | np.generic | bool | int | float):
        array = np.asarray(value)
        return torch.from_numpy(array.copy()) if array.dtype.kind in "iufb" else array
    if isinstance(value, list | tuple) and value:
        if isinstance(value[0], Tensor):
            return value
        try:
            array = np.asarray(value)
        except ValueError:  # rows of several lengths
            return value
        return as_tensor(array) if array.dtype != object else value
    return value


def _read_adjacency(found: Found) -> None:
    """The edges of `adj_t`, sparse and transposed, where there is no edge_index."""
    if found.has("edge_index") or not found.has("adj_t"):
        if found.has("adj_t"):
            found.others["adj_t"] = "adj_t (edge_index is)"
        return
    for i, graph in enumerate(found.graphs):
        adjacency = graph["adj_t"]
        if isinstance(adjacency, Tensor) and adjacency.layout != torch.strided:
            whole = adjacency.to_sparse_coo().coalesce()
            (target, source), value = whole.indices(), whole.values()
            graph.setdefault("num_nodes", whole.size(0))
            value = None if bool((value == 1).all()) else value
        elif isinstance(adjacency, Unread) and isinstance(adjacency.state.get("storage"), Unread):
            store = adjacency.state["storage"].state  # of torch_sparse, which need not be there
            target, source, value = store.get("_row"), store["_col"], store.get("_value")
            if target is None:
                target = torch.arange(len(store["_rowptr"]) - 1).repeat_interleave(
                    store["_rowptr"].diff()
                )
            graph.setdefault("num_nodes", int(store["_sparse_sizes"][0]))
        else:
            found.fault(f"graph {i}: adj_t is a {_kind(adjacency)}: save edge_index instead")
        graph["edge_index"] = torch.stack([source, target])
        if isinstance(value, Tensor) and value.dim() == 1 and "edge_weight" not in graph:
            graph["edge_weight"] = value
        elif value is not None:
            found.others["adj_t"] = "the values of adj_t"
    if found.has("edge_weight"):  # a graph whose values are all 1 has weights as others have
        for graph in found.graphs:
            graph.setdefault("edge_weight", torch.ones(graph["edge_index"].size(1)))


def _num_nodes(found: Found, i: int) -> int:
    """The nodes of a graph, as PyG counts them, or by their labels."""
    graph = found.graphs[i]
    if isinstance(graph.get("x"), Tensor):
        return int(graph["x"].size(0))
    if graph.get("num_nodes") is not None:
        return int(graph["num_nodes"])
    for key in COUNTED:
        if isinstance(graph.get(key), Tensor) and graph[key].dim():
            return int(graph[key].size(0))
    edges, y = graph["edge_index"], as_tensor(graph.get("y"))
    named = int(edges.max()) + 1 if edges.numel() else 1
    is_one = len(found.graphs) == 1 and y is not None and np.ndim(y)
    return max(named, len(y)) if is_one else named


def _shown(key: str, graphs: Sequence[Mapping[str, Any]]) -> str:
    values = [graph[key] for graph in graphs if graph.get(key) is not None]
    if not values or not isinstance(values[0], Tensor | np.ndarray):
        return key
    shape = [str(size) for size in values[0].shape]
    if len(graphs) > 1 and shape:
        shape[0] = "*"
    return f"{key} ({', '.join(shape)})" if shape else key
