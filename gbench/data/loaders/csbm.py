"""Contextual stochastic block model: node labels hidden in both a random graph and its features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.edges import both_directions
from gbench.data.loaders.splits import stratified
from gbench.data.source import Graph, Source
from gbench.errors import UserError


def load(
    raw: Path,
    num_nodes: int,
    num_features: int,
    avg_degree: float,
    homophily: float,
    signal: float,
    num_classes: int = 2,
    seed: int = 0,
) -> Source:
    """Draw one graph, its features and ten splits of 60/20/20 %.

    Deshpande, Sen, Montanari and Mossel, "Contextual Stochastic Block Models" (NeurIPS 2018), for n
    nodes in C classes of equal size with p features, average degree d and homophily h:

        P(i ~ j) = C d h / n within a class, C d (1 - h) / ((C - 1) n) between classes
        x_i = √(μ / n) u_{y_i} + z_i / √p,  u_c ~ N(0, I/p),  z_i ~ N(0, I)

    so that h is the expected share of edges within classes. The means u_c are centred over the
    classes, which for C = 2 is the paper's ±u; there h = 1/2 + λ / (2 √d), and labels can be found
    when λ² + μ² p / n > 1. `signal` is μ. Raises UserError when no such graph exists.
    """
    for name, value, least in (
        ("num_classes", num_classes, 2),
        ("num_nodes", num_nodes, 1),
        ("num_features", num_features, 1),
        ("signal", signal, 0),
        ("seed", seed, 0),
    ):
        if value < least:
            raise UserError(f"data.{name}={value}: allowed is a number at least {least}")
    random = np.random.RandomState(seed)
    y = np.sort(np.arange(num_nodes) % num_classes)
    within = num_classes * avg_degree * homophily / num_nodes
    between = num_classes * avg_degree * (1 - homophily) / ((num_classes - 1) * num_nodes)
    if not (0 <= within <= 1 and 0 <= between <= 1):
        raise UserError(
            f"data.homophily={homophily} and data.avg_degree={avg_degree} on {num_nodes} nodes ask "
            f"for edges with probability {within:.3g} within and {between:.3g} between classes: "
            "both must be 0 to 1"
        )
    members = [np.flatnonzero(y == label) for label in range(num_classes)]
    edges = [
        _edges_between(random, members[a], members[b], within if a == b else between)
        for a in range(num_classes)
        for b in range(a, num_classes)
    ]
    means = random.randn(num_classes, num_features) / np.sqrt(num_features)
    means = (means - means.mean(axis=0)) * np.sqrt(num_classes / (num_classes - 1))
    noise = random.randn(num_nodes, num_features) / np.sqrt(num_features)
    x = np.sqrt(signal / num_nodes) * means[y] + noise

    edge_index = both_directions(torch.from_numpy(np.concatenate(edges, axis=1)), num_nodes)
    graph = Graph(torch.from_numpy(x).float(), edge_index, torch.from_numpy(y))
    splits = [stratified(y, train=0.6, valid=0.2, seed=fold) for fold in range(10)]
    return Source([graph], splits, num_outputs=num_classes)


def _edges_between(
    random: np.random.RandomState, rows: np.ndarray, cols: np.ndarray, probability: float
) -> np.ndarray:
    """Join each pair of a node in `rows` and one in `cols` with the given probability.

    The number of edges is binomial; then as many distinct pairs are drawn, which costs memory for
    the edges only and not for all pairs. Within one class a pair is i < j. Shapes: (2, E).
    """
    same = rows is cols
    pairs = rows.size * (rows.size - 1) // 2 if same else rows.size * cols.size
    wanted = random.binomial(pairs, probability)
    chosen = np.empty(0, dtype=np.int64)
    while chosen.size < wanted:
        code = random.randint(0, rows.size * cols.size, size=2 * (wanted - chosen.size) + 16)
        if same:
            code = code[code // cols.size < code % cols.size]
        known, first = np.unique(np.concatenate([chosen, code]), return_index=True)
        chosen = known[np.argsort(first)][:wanted]  # in the order drawn, so that the cut is fair
    return np.stack([rows[chosen // cols.size], cols[chosen % cols.size]])
