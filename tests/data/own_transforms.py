"""Transforms that do what none may."""

from __future__ import annotations

import torch


def with_labels(graph):
    return graph._replace(y=torch.zeros(graph.x.size(0), dtype=torch.long))


def with_nan(graph):
    return graph._replace(x=graph.x * torch.nan)


def without_a_node(graph):
    return graph._replace(x=graph.x[:-1], edge_index=graph.edge_index[:, :0])


def as_a_number(graph):
    return 3


def with_edges_to_nowhere(graph):
    return graph._replace(edge_index=graph.edge_index + 30)


def with_options(graph, number):
    return graph


def without_the_last(graphs):
    return graphs[:-1]
