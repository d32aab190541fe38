#!/usr/bin/env bash
# igraph 1.0.0: get_adjacency counts a self-loop twice, get_adjacency_sparse once; Adjacency reads both with one option.
#
# Of an undirected graph the two methods should return one matrix, dense or sparse. A self-loop is 2 on the dense
# diagonal and 1 on the sparse one: degrees as sums of rows, normalised Laplacians and powers of the matrix differ. Reading back,
# Adjacency(loops=True) is documented to mean loops="once": it does so for a SciPy matrix, and takes a dense one as "twice". One matrix, read
# both ways, becomes two graphs, and a one on the dense diagonal, as networkx and PyG write it, is refused as odd.
#
# Seen, edges 0-0 and 0-1: diagonals 2 and 1. The matrix ((2, 1), (1, 0)), loops=True: one loop from a list, two from CSR.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet igraph==1.0.0 scipy==1.17.1
"$folder/env/bin/python" - <<'PY'
import igraph
from scipy.sparse import csr_matrix

graph = igraph.Graph([(0, 0), (0, 1)])
dense, sparse = list(graph.get_adjacency())[0][0], int(graph.get_adjacency_sparse()[0, 0])
matrix = [[2, 1], [1, 0]]
read = {name: igraph.Graph.Adjacency(m, mode="undirected", loops=True) for name, m in (("dense", matrix), ("sparse", csr_matrix(matrix)))}
loops = {name: sum(graph.is_loop()) for name, graph in read.items()}
print(dense, sparse, loops)
assert (dense, sparse) == (2, 1), "the behaviour has changed"
assert loops == {"dense": 1, "sparse": 2}, "the behaviour has changed"
PY
