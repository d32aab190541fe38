#!/usr/bin/env bash
# pynauty 2.8.8.1: graphs of unequal colourings that are not isomorphic have equal certificates.
#
# A certificate is what one groups graphs by: equal for isomorphic ones, different for others. This one tells the
# canonical adjacency alone; the colours of vertices decide which order is canonical and how many there are of each
# colour is not written down. Molecules without bonds between their atoms, or any two graphs whose sorted
# adjacency is equal, fall together whatever their colours. pynauty.isomorphic compares colourings as well and
# is right, so that the two answers differ.
#
# Seen: three vertices, no edge, colours 1 + 2, 2 + 1 and 3: one certificate, none isomorphic to another.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet pynauty==2.8.8.1
"$folder/env/bin/python" - <<'PY'
from itertools import combinations

from pynauty import Graph, certificate, isomorphic

colourings = [[{0}, {1, 2}], [{0, 1}, {2}], [{0, 1, 2}]]
graphs = [Graph(3, adjacency_dict={}, vertex_coloring=colouring) for colouring in colourings]
certificates = {certificate(graph) for graph in graphs}
pairs = [isomorphic(one, other) for one, other in combinations(graphs, 2)]
print(len(certificates), pairs)
assert len(certificates) == 1 and not any(pairs), "the behaviour has changed"
PY
