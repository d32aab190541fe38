#!/usr/bin/env bash
# igraph 1.0.0: whole numbers in GraphML become floats, and large ones become other numbers.
#
# GraphML has the types int and long; a reader that keeps numbers as doubles cannot tell 2^53 + 1 from 2^53. Node
# codes of sixteen digits and more, such as hashes and the identifiers of social networks, come back changed, and two
# nodes may come back as one; the smaller ones no longer look like the integers they are. networkx, which wrote
# the file as long, reads it back exactly.
#
# Seen: codes 9007199254740993 and 2 -> 9007199254740992.0 and 2.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet igraph==1.0.0 networkx==3.6.1
cd "$folder"
env/bin/python - <<'PY'
import igraph
import networkx

written = [9007199254740993, 2]
graph = networkx.path_graph(2)
networkx.set_node_attributes(graph, dict(enumerate(written)), "code")
networkx.write_graphml(graph, "graph.graphml")
read = igraph.Graph.Read_GraphML("graph.graphml").vs["code"]
again = networkx.read_graphml("graph.graphml").nodes(data="code")
print(read, [code for _, code in again])
assert read == [9007199254740992.0, 2.0], "the behaviour has changed"
assert [code for _, code in again] == written, "the behaviour has changed"
PY
