#!/usr/bin/env bash
# networkx 3.6.1: graphs that differ in a self-loop have the edit distance 0, and from B to A another one than from A to B.
#
# The distance is the least cost of edits that turn one graph into a graph isomorphic to the other, so it is 0 for isomorphic graphs alone,
# and the same in both directions, since all edits cost 1 here. Yet an edge between two nodes is substituted by a self-loop for nothing.
# Tables of distances for retrieval or for a kernel then call different graphs the same, and are not symmetric.
#
# Seen: an edge, or a self-loop, on two nodes: 0 both ways (an edge is to be deleted and one to be added: 2), directed or not; the path 0-1-2
# and its like with a self-loop on 1 in the place of 1-2: 2, and 0 the other way round. is_isomorphic: False each time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet networkx==3.6.1 numpy==2.4.6 scipy==1.17.1
"$folder/env/bin/python" -W error - <<'PY'
import networkx as nx


def graph(kind, nodes, *edges):
    made = kind()
    made.add_nodes_from(range(nodes))
    made.add_edges_from(edges)
    return made


pairs = [(graph(kind, 2, (0, 1)), graph(kind, 2, (0, 0))) for kind in (nx.Graph, nx.DiGraph)]
pairs.append((graph(nx.Graph, 3, (0, 1), (1, 2)), graph(nx.Graph, 3, (0, 1), (1, 1))))
there = [nx.graph_edit_distance(a, b) for a, b in pairs]
back = [nx.graph_edit_distance(b, a) for a, b in pairs]
print("edge and loop, the same directed, path and its like with a loop:", there, "other way round:", back)
assert not any(nx.is_isomorphic(a, b) for a, b in pairs)
assert (there, back) == ([0, 0, 2], [0, 0, 0]), "the behaviour has changed"
PY
