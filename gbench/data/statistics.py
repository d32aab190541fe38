"""Statistics of the training part that a model asks for by name, computed once from it alone.

A model's class lists them, `statistics = ("mean_log_degree",)`, and finds them by name in
`spec.statistics`. What it keeps of them in a buffer is in its checkpoint; the record holds all.

The training part is, of graphs, the training graphs of the fold with all their nodes; of one graph
of labelled nodes, the training nodes with their in-degrees in the whole graph, which every node of
it is seen with in training; of links, all nodes of the graph, which has no other edges than those
of training. Labels are those of the training part.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gbench.data.dataset import Dataset
from gbench.data.graph_splits import graphs_of
from gbench.errors import UserError, unknown
from gbench.kernels.csr import CSR
from gbench.locate import locate

Statistic = Callable[[CSR, Tensor, Tensor], Any]


def degree_histogram(graph: CSR, node_ptr: Tensor, ids: Tensor) -> Any:
    """How many training nodes have 0, 1, 2, ... in-neighbours, up to the largest number."""
    return torch.bincount(graph.in_degree[ids].long(), minlength=1)


def mean_degree(graph: CSR, node_ptr: Tensor, ids: Tensor) -> float:
    """The mean of the in-degree over the training nodes."""
    return float(graph.in_degree[ids].double().mean())


def mean_log_degree(graph: CSR, node_ptr: Tensor, ids: Tensor) -> float:
    """The mean of log(1 + in-degree) over the training nodes: δ of PNA (Corso et al. 2020)."""
    return float(graph.in_degree[ids].double().log1p().mean())


def mean_num_nodes(graph: CSR, node_ptr: Tensor, ids: Tensor) -> float:
    """The mean number of nodes of a training graph; of one graph its number."""
    return float(node_ptr.diff().double().mean())


STATISTICS: dict[str, Statistic] = {
    f.__name__: f for f in (degree_histogram, mean_degree, mean_log_degree, mean_num_nodes)
}


def asked(target: Any) -> tuple[str, ...]:
    """The names that a model's class asks for. Raises UserError for anything but names."""
    names = getattr(target, "statistics", ())
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        called = getattr(target, "__qualname__", target)
        raise UserError(
            f"{called}.statistics is {names!r}: a tuple of names is wanted, as "
            'statistics = ("mean_log_degree",)'
        )
    return tuple(names)


def with_statistics(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The dataset whose `spec.statistics` holds what `names` ask for.

    Raises UserError for a name that is none of `STATISTICS` and no function of the user's own,
    `module.function(graph, node_ptr, ids)`, and for what such a function must not return.
    """
    if not names:
        return dataset
    for name in names:
        _function(name)  # what is none is told before anything is computed
    values = measured(names, *_training_part(dataset))
    return replace(dataset, spec=replace(dataset.spec, statistics=values))


def measured(names: Sequence[str], graph: CSR, node_ptr: Tensor, ids: Tensor) -> dict[str, Any]:
    """The statistics of these names, of the nodes `ids` of graphs. Raises as `with_statistics`."""
    return {name: _plain(name, _function(name)(graph, node_ptr, ids)) for name in names}


def _training_part(dataset: Dataset) -> tuple[CSR, Tensor, Tensor]:
    """The graphs side by side, where each begins, and the nodes that count.

    Shapes: node_ptr (B + 1,) int32, ids (T,) int64.
    """
    train = dataset.split.train
    if dataset.spec.level == "graph":
        batch = dataset.store.batch(train)
        return batch.graph, batch.node_ptr, torch.arange(batch.num_nodes)
    if dataset.store.num_graphs > 1:  # whose nodes have labels
        batch = dataset.store.batch(graphs_of(dataset.store, train))
        return batch.graph, batch.node_ptr, torch.arange(batch.num_nodes)
    batch = dataset.store.whole()
    ids = train if dataset.spec.level == "node" else torch.arange(batch.num_nodes)
    return batch.graph, batch.node_ptr, ids


def _function(name: str) -> Statistic:
    if "." not in name:
        if name not in STATISTICS:
            own = "One of your own has a dot, as my_module.my_function"
            raise unknown("statistic of the training part", name, STATISTICS, own)
        return STATISTICS[name]
    found: Statistic = locate(name, "statistics")
    try:
        inspect.signature(found).bind(None, None, None)
    except TypeError as error:
        said = f"statistics: {name} is called with (graph, node_ptr, ids): {error}"
        raise UserError(said) from error
    return found


def _plain(name: str, value: Any) -> Any:
    """The value as numbers, lists and mappings of them, which a record can hold."""
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(name, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, inner) for inner in value]
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(
            f"statistics: {name} returned {value!r}: finite numbers are wanted, or tensors, lists "
            "and mappings of them"
        )
    return value
