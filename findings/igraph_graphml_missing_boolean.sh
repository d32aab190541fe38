#!/usr/bin/env bash
# igraph 1.0.0: a node of which GraphML gives no label has the label False, if labels are true or false, and "" if they are text.
#
# GraphML leaves out what is not known of a node, and that is how networkx writes unlabelled ones. Read by igraph a number that is left
# out is NaN, a text is "", and a boolean is False: unlabelled nodes become negative ones, and nothing tells the two apart. In
# writing it is the same: None among booleans is written as false, so that a file that igraph wrote and networkx reads has them, too.
#
# Seen, labels True, False and none: igraph reads True, False, False, and a score that is left out as NaN; written by igraph and
# read by networkx the third is False.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet igraph==1.0.0 networkx==3.6.1
cd "$folder"
env/bin/python - <<'PY'
import math

import igraph
import networkx

graph = networkx.Graph()
graph.add_node("a", toxic=True, score=0.5, kind="x")
graph.add_node("b", toxic=False, score=0.5, kind="y")
graph.add_node("c")
networkx.write_graphml(graph, "graph.graphml")
read = igraph.Graph.Read_GraphML("graph.graphml").vs
print(read["toxic"], read["score"], read["kind"])
written = igraph.Graph(3, vertex_attrs={"toxic": [True, False, None]})
written.write_graphml("written.graphml")
again = [toxic for _, toxic in networkx.read_graphml("written.graphml").nodes(data="toxic")]
print(again)
assert read["toxic"] == again == [True, False, False], "the behaviour has changed"
assert math.isnan(read["score"][2]) and read["kind"][2] == "", "the behaviour has changed"
PY
