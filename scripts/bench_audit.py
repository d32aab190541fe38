"""How long the audit of a large graph takes, kind of facts by kind of facts, and the most memory.

python scripts/bench_audit.py [NODES] [EDGES] [FEATURES]

The graph is drawn: 20 classes, degrees as skewed as in citation networks, sparse binary features,
half of the nodes train. Reading it in its packed form is counted, drawing and packing are not.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

from gbench.audits.audit import kinds
from gbench.audits.audited import Audited, Split
from gbench.data.dataset import Dataset
from gbench.data.manage import card_of
from gbench.data.source import Graph
from gbench.data.source import Split as Parts
from gbench.data.spec import DataSpec
from gbench.data.store import pack

NUM_CLASSES = 20


def main() -> None:
    nodes, edges, features = (
        *map(int, sys.argv[1:]),
        *(1_000_000, 5_000_000, 64)[len(sys.argv) - 1 :],
    )
    data = drawn(nodes, edges, features)
    print(f"{nodes:,} nodes, {data.store.num_edges:,} entries, {peak():.2f} GiB before the audit")
    whole = time.perf_counter()
    for title, kind in kinds("node").items():
        begun = time.perf_counter()
        count = sum(1 for _ in kind.facts(data))
        took = time.perf_counter() - begun
        print(f"{title:20}{count:5} facts{took:8.1f} s{peak():8.2f} GiB at most", flush=True)
    print(f"{'together':31}{time.perf_counter() - whole:8.1f} s")
    for what, why in data.skipped.items():
        print(f"not computed: {what}: {why}")


def drawn(nodes: int, edges: int, features: int) -> Audited:
    """A graph of so many nodes and about as many edges, each in both directions."""
    rng = torch.Generator().manual_seed(0)
    y = torch.randint(NUM_CLASSES, (nodes,), generator=rng)
    source = (torch.rand(edges, generator=rng) ** 3 * nodes).long()
    target = torch.randint(nodes, (edges,), generator=rng)
    edge_index = torch.stack([torch.cat([source, target]), torch.cat([target, source])])
    del source, target
    x = (torch.rand(nodes, features, generator=rng) < 0.02).float()
    store = pack([Graph(x, edge_index, y)], "node")
    parts = [part.sort()[0] for part in torch.randperm(nodes, generator=rng).tensor_split(4)]
    split = Parts(torch.cat(parts[:2]).sort()[0], parts[2], parts[3])
    card = card_of("csbm")
    dataset = Dataset(card, DataSpec("node", NUM_CLASSES, features), store, split, "", {})
    splits = [Split(*(part.numpy() for part in split))]
    return Audited(card, dataset, store, splits, np.ones(nodes, dtype=bool), Path())


def peak() -> float:
    """The most memory that the process has held, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
