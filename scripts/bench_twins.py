"""How much faster exact twins are found than by networkx's hash and matcher, on one sample.

python scripts/bench_twins.py [DATASET] [GRAPHS]

Both group the same graphs by isomorphism with all labels of nodes and edges: gbench as an audit
does, networkx by `weisfeiler_lehman_graph_hash` and `is_isomorphic` among graphs of one hash.
"""

from __future__ import annotations

import sys
import time

import networkx as nx
import numpy as np
import scipy.sparse.csgraph  # noqa: F401  (loaded before what is timed, as networkx is)

from gbench.audits.audited import audited
from gbench.audits.coloured import Coloured
from gbench.audits.graph_classes import refined_classes
from gbench.audits.graph_labels import label_sets
from gbench.audits.isomorphism import isomorphism_classes
from gbench.data.manage import card_of
from gbench.folders import cache_dir, data_dir


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "ogbg-molhiv"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 8000
    data = audited(card_of(name), data_dir(None), cache_dir(None))
    ids = np.sort(np.random.default_rng(0).permutation(data.structure.num_graphs)[:count])
    for labels in label_sets(data):
        graphs = labels.coloured(data).take(ids)
        begun = time.perf_counter()
        ours = gbench_groups(graphs)
        middle = time.perf_counter()
        theirs = networkx_groups(graphs)
        end = time.perf_counter()
        assert ours == theirs, (ours, theirs)
        print(
            f"{name}, {count:,} graphs, {labels.name}: {ours:,} classes; gbench "
            f"{middle - begun:.2f} s, networkx {end - middle:.2f} s, "
            f"{(end - middle) / (middle - begun):.0f} times faster",
            flush=True,
        )


def gbench_groups(graphs: Coloured) -> int:
    """The number of isomorphism classes, as an audit finds them."""
    by_depth, alike, part, colours = refined_classes(graphs)
    found = isomorphism_classes(part, colours).of_graph if len(alike) else alike
    distinct = len(np.unique(by_depth["inf"])) - len(np.unique(by_depth["inf"][alike]))
    return distinct + len(np.unique(found))


def networkx_groups(graphs: Coloured) -> int:
    """The same by networkx: hashes, then pairs within each hash."""
    has_labels = graphs.edge_codes is not None
    groups: dict[str, list[nx.Graph]] = {}
    for g in range(graphs.num_graphs):
        graph = as_networkx(graphs, g)
        key = nx.weisfeiler_lehman_graph_hash(
            graph, edge_attr="kind" if has_labels else None, node_attr="colour"
        )
        members = groups.setdefault(key, [])
        same = (
            nx.is_isomorphic(
                graph,
                other,
                lambda a, b: a["colour"] == b["colour"],
                (lambda a, b: a["kind"] == b["kind"]) if has_labels else None,
            )
            for other in members
        )
        if not any(same):
            members.append(graph)
    return sum(map(len, groups.values()))


def as_networkx(graphs: Coloured, g: int) -> nx.Graph:
    """One graph, `colour` and `kind` its labels."""
    first, end = graphs.node_ptr[g], graphs.node_ptr[g + 1]
    graph = nx.Graph()
    for node in range(first, end):
        graph.add_node(node - first, colour=int(graphs.codes[node]))
    for node in range(first, end):
        for e in range(graphs.indptr[node], graphs.indptr[node + 1]):
            kind = 0 if graphs.edge_codes is None else int(graphs.edge_codes[e])
            graph.add_edge(node - first, int(graphs.indices[e]) - first, kind=kind)
    return graph


if __name__ == "__main__":
    main()
