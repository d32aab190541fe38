#!/usr/bin/env bash
# xgi 0.10.2: reading a hypergraph from HIF drops every weight, and all that is said of a node within an edge.
#
# The Hypergraph Interchange Format gives nodes, edges and incidences (this node in this edge) a "weight" and "attrs" each.
# read_hif takes the attrs of nodes and edges and passes by the rest without a word: weights of edges, of nodes, and of
# incidences, and the attrs of incidences (an author's place among the authors of a paper). A weighted hypergraph that another
# library wrote arrives as an unweighted one.
#
# Seen, an edge of weight 5 over two nodes of weight 2, incidences of weight 0.25 with a role: no 5, 2, 0.25 or role is left.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet xgi==0.10.2
cd "$folder"
cat > graph.json <<'JSON'
{"network-type": "undirected",
 "nodes": [{"node": "ann", "weight": 2, "attrs": {"age": 40}}, {"node": "bob", "weight": 2}],
 "edges": [{"edge": "paper", "weight": 5, "attrs": {"year": 2020}}],
 "incidences": [{"edge": "paper", "node": "ann", "weight": 0.25, "attrs": {"role": "first"}},
                {"edge": "paper", "node": "bob", "weight": 0.25, "attrs": {"role": "last"}}]}
JSON
env/bin/python - <<'PY'
import json

import xgi

graph = xgi.read_hif("graph.json")
nodes, edges = {n: graph.nodes[n] for n in graph.nodes}, {e: graph.edges[e] for e in graph.edges}
xgi.write_hif(graph, "again.json")
with open("again.json") as file:
    again = json.load(file)
print(nodes, edges, again["incidences"])
assert nodes == {"ann": {"age": 40}, "bob": {}} and edges == {"paper": {"year": 2020}}, "the behaviour has changed"
assert not any({"weight", "attrs"} & set(incidence) for incidence in again["incidences"]), "the behaviour has changed"
PY
