#!/usr/bin/env bash
# networkx 3.6.1: with labels of edges the Weisfeiler-Lehman hash of a directed graph forgets which way edges go.
#
# Since version 3.5 edges that leave a node and edges that enter it are told apart. With edge_attr they are not: the mark of
# a direction is left out as soon as there is a label of an edge, and what is left is the text of the labels one after the
# other. A graph of reactions, citations or relations whose edges have types then hashes like its reverse: labels are given to
# tell more graphs apart, and fewer are told apart.
#
# Seen: a node that points to three others and one that three others point to, every edge of type "a": different hashes
# without the types, one hash with them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet networkx==3.6.1
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import networkx

out = networkx.DiGraph([(0, 1), (0, 2), (0, 3)])
into = out.reverse()
for graph in (out, into):
    networkx.set_edge_attributes(graph, "a", "type")
hash_of = networkx.weisfeiler_lehman_graph_hash
plain = hash_of(out) == hash_of(into)
typed = hash_of(out, edge_attr="type") == hash_of(into, edge_attr="type")
print(f"equal without types: {plain}, with types: {typed}")
assert not networkx.is_isomorphic(out, into)
assert (plain, typed) == (False, True), "the behaviour has changed"
PY
