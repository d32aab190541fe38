#!/usr/bin/env bash
# igraph 1.0.0: canonical_permutation is described as the new number of each vertex, and is the old number of each new one.
#
# "Vertex 0 in the original graph will be mapped to an ID contained in the first element of this vector": who writes each edge with these
# numbers, as one does to have a key under which isomorphic graphs meet, gets a relabelled graph that is not canonical, and duplicates
# go by unseen. Handed to permute_vertices, which has been turned round in this version, it gives the canonical form; 0.11 gave it
# either way. Small symmetric graphs hide the difference.
#
# Seen, a path of 3 nodes and an isolated one, numbered in all 24 ways: 1 form in 0.11.9 both ways; in 1.0.0 one form by
# permute_vertices and several by the numbers as they are described.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for pin in igraph==0.11.9 igraph==1.0.0; do
    "${PYTHON:-python3}" -m venv "$folder/$pin"
    "$folder/$pin/bin/python" -m pip install --quiet "$pin"
    "$folder/$pin/bin/python" -W error - <<'PY'
from itertools import permutations

import igraph


def form(edges):
    return tuple(sorted(tuple(sorted(edge)) for edge in edges))


described, permuted = set(), set()
for number in permutations(range(4)):
    graph = igraph.Graph(4, [(number[0], number[1]), (number[1], number[2])])
    order = graph.canonical_permutation()
    described.add(form((order[edge.source], order[edge.target]) for edge in graph.es))
    permuted.add(form(edge.tuple for edge in graph.permute_vertices(order).es))
print(igraph.__version__, "forms as described:", len(described), "by permute_vertices:", len(permuted))
assert len(permuted) == 1 and (len(described) > 1) == (igraph.__version__ == "1.0.0"), "the behaviour has changed"
PY
done
