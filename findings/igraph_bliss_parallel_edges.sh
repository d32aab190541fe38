#!/usr/bin/env bash
# igraph 1.0.0: isomorphic_bliss says that isomorphic graphs with parallel edges are not isomorphic.
#
# Two bonds drawn as two edges, or two transfers between the same accounts, make a graph with parallel edges. isomorphic is
# described as using BLISS for undirected graphs, and answers rightly; isomorphic_bliss, the same by its own name, orders vertices
# as if the edges were single and then compares the lists of edges with their multiplicities. The answer is right where the order
# happens to fit, so a graph and itself are isomorphic. Canonical forms by canonical_permutation differ in the same way.
#
# Seen, a path a - b - c, doubled on the left or doubled on the right: isomorphic and isomorphic_vf2 True, isomorphic_bliss False.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet igraph==1.0.0
"$folder/env/bin/python" - <<'PY'
import igraph

left, right = igraph.Graph([(0, 1), (0, 1), (1, 2)]), igraph.Graph([(0, 1), (1, 2), (1, 2)])
answers = {name: getattr(left, name)(right) for name in ("isomorphic", "isomorphic_vf2", "isomorphic_bliss")}
canonical = [sorted(g.permute_vertices(g.canonical_permutation()).get_edgelist()) for g in (left, right)]
print(answers, canonical)
assert answers == {"isomorphic": True, "isomorphic_vf2": True, "isomorphic_bliss": False}, "the behaviour has changed"
assert canonical[0] != canonical[1], "the behaviour has changed"
PY
