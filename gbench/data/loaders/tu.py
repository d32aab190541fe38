"""Graph-level sets of the TU collection (Morris et al., 2020), from its text files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gbench.data.loaders.edges import coalesce, without_loops
from gbench.data.loaders.mutag_order import MUTAG_ORDER
from gbench.data.loaders.splits import ten_folds
from gbench.data.source import Graph, Source
from gbench.errors import UserError, unknown


def load(
    raw: Path,
    *,
    split: str,
    prefix: str,
    features: str,
    target: str = "labels",
    beside: bool = False,
) -> Source:
    """Read `<prefix>_*.txt` with ten folds (see `ten_folds` for what is validated on).

    `features` is one of: labels, each column one-hot over all values between the least and the
    greatest; attributes, the numbers as they are; attributes+labels, side by side; degree, one-hot
    over the degrees that occur in the whole dataset; constant, 1 for every node. `target` labels
    are classes, numbered in increasing order; attributes are numbers to predict. Loops and repeated
    edges are dropped, as PyG does. Labels of edges are not read, and of the numbers and labels of
    nodes only those of `features`: `beside` also reads the rest that is at hand (see `_beside`).

    Raises UserError for other features and for files that do not belong together.
    """
    edge_index = torch.from_numpy(_read(raw / f"{prefix}_A.txt").astype(np.int64).T) - 1
    graph_of_node = torch.from_numpy(_integers(raw / f"{prefix}_graph_indicator.txt")[:, 0]) - 1
    num_nodes = len(graph_of_node)
    y, num_outputs = _targets(raw / f"{prefix}_graph_{target}.txt")
    is_sound = (
        bool((graph_of_node.diff() >= 0).all())
        and 0 <= int(graph_of_node[0]) <= int(graph_of_node[-1]) < len(y)
        and 0 <= int(edge_index.min()) <= int(edge_index.max()) < num_nodes
        and torch.equal(*graph_of_node[edge_index])
    )
    if not is_sound:
        raise UserError(
            f"the files {raw}/{prefix}_*.txt do not belong together: nodes do not come graph by "
            "graph, an edge leaves its graph, or one of them was cut short. Delete them and run "
            f"`gbench data get {prefix}`"
        )
    others = _beside(raw, prefix, edge_index) if beside else {}
    edge_index = coalesce(without_loops(edge_index), num_nodes)
    x = _features(raw, prefix, features, edge_index, num_nodes)

    sizes = torch.bincount(graph_of_node, minlength=len(y))
    first_node = sizes.cumsum(0) - sizes
    graph_of_edge = graph_of_node[edge_index[1]]
    edge_index = edge_index - first_node[graph_of_edge]
    num_edges = torch.bincount(graph_of_edge, minlength=len(y))
    graphs = [
        Graph(*parts)
        for parts in zip(
            torch.split(x, sizes.tolist()),
            torch.split(edge_index, num_edges.tolist(), dim=1),
            torch.split(torch.from_numpy(y), 1),
            strict=True,
        )
    ]
    order = np.array(MUTAG_ORDER) if prefix == "MUTAG" else np.arange(len(y))
    folds = ten_folds(y, order, valid_is_test=split == "gin-10-fold-selects-on-test")
    return Source(graphs, folds, num_outputs, beside=others)


def _beside(raw: Path, prefix: str, edge_index: Tensor) -> dict[str, Tensor]:
    """What the files hold beside the structure, where they do, whatever `features` are.

    "edges" (2, E) the lines of the file of edges, nodes counted over all graphs, and "edge labels"
    (E, K) of them, where edges are labelled; "number of edges" (), those lines; "node labels"
    (N, K) and "node attributes" (N, F).
    """
    found = {"number of edges": torch.tensor(edge_index.size(1))}
    for name in ("edge_labels", "node_labels", "node_attributes"):
        path = raw / f"{prefix}_{name}.txt"
        if path.exists():
            values = _read(path) if name == "node_attributes" else _integers(path)
            found[name.replace("_", " ")] = torch.from_numpy(values.copy())
    if "edge labels" in found:
        found["edges"] = edge_index
    return found


def _features(raw: Path, prefix: str, features: str, edge_index: Tensor, num_nodes: int) -> Tensor:
    """Shapes: edge_index (2, E) → (N, F)."""
    if features == "constant":
        return torch.ones(num_nodes, 1)
    if features == "degree":
        degree = torch.bincount(edge_index[1], minlength=num_nodes)
        values, place = torch.unique(degree, return_inverse=True)
        return torch.nn.functional.one_hot(place, len(values)).float()
    words = features.split("+")
    if not words or not {*words} <= {"attributes", "labels"}:
        allowed = ("labels", "attributes", "attributes+labels", "degree", "constant")
        raise unknown("features", features, allowed, "They are given by data.features=")
    columns = []
    if "attributes" in words:
        numbers = _read(raw / f"{prefix}_node_attributes.txt").astype(np.float32)
        columns.append(torch.from_numpy(numbers))
    if "labels" in words:
        tags = torch.from_numpy(_integers(raw / f"{prefix}_node_labels.txt"))
        columns += [_one_hot(column) for column in tags.t()]
    if any(len(column) != num_nodes for column in columns):
        raise UserError(
            f"{raw}/{prefix}_node_*.txt do not have one line for each of {num_nodes:,} nodes: "
            f"delete them and run `gbench data get {prefix}`"
        )
    return torch.cat(columns, dim=1)


def _targets(path: Path) -> tuple[np.ndarray, int]:
    """Classes (G,) int64 and their number, or numbers to predict (G, T) and T."""
    if path.name.endswith("_graph_attributes.txt"):
        numbers = _read(path).astype(np.float32)
        return numbers, numbers.shape[1]
    values, y = np.unique(_integers(path)[:, 0], return_inverse=True)
    return y, len(values)


def _one_hot(values: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(values - values.min()).float()


def _integers(path: Path) -> np.ndarray:
    return _read(path).astype(np.int64)


def _read(path: Path) -> np.ndarray:
    """A comma-separated text file of numbers as a matrix; UserError where it is none."""
    import pandas

    try:
        # pandas reads the 24.6 million edges of COLLAB in seconds, numpy in a minute
        table = pandas.read_csv(path, header=None, skipinitialspace=True)
    except FileNotFoundError:
        raise UserError(f"{path.parent} has no {path.name}: choose other data.features=") from None
    except ValueError as error:  # pandas' own are of this kind
        raise _damaged(path, str(error)) from error
    values: np.ndarray = table.to_numpy()
    if values.dtype.kind not in "iuf" or np.isnan(values).any():
        raise _damaged(path, "it holds something else than numbers")
    return values


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}): delete it and run `gbench data get`")
