#!/usr/bin/env bash
# networkx 3.6.1: weisfeiler_lehman_graph_hash(iterations=1) is the same for every graph without labels.
#
# Without labels the first round of colour refinement gives each node its degree, so one round tells graphs of different
# degrees apart. The function takes the degrees as that round, does one round less than it is asked for, and hashes the
# colours of the rounds that it did: of one round these are none. The degrees themselves are never counted, only refined.
#
# Seen: a path of 3 nodes, a complete graph of 5, a star of 10 and a lone node: one hash; with iterations=2 four hashes,
# and with iterations=1 and the degrees as labels of nodes also four.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet networkx==3.6.1
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import networkx

graphs = [networkx.path_graph(3), networkx.complete_graph(5), networkx.star_graph(9), networkx.empty_graph(1)]
for graph in graphs:
    networkx.set_node_attributes(graph, dict(graph.degree), "degree")
hash_of = networkx.weisfeiler_lehman_graph_hash
one, two = ({hash_of(graph, iterations=rounds) for graph in graphs} for rounds in (1, 2))
labelled = {hash_of(graph, iterations=1, node_attr="degree") for graph in graphs}
print(len(one), len(two), len(labelled))
assert (len(one), len(two), len(labelled)) == (1, 4, 4), "the behaviour has changed"
PY
