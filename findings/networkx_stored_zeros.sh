#!/usr/bin/env bash
# networkx 3.6.1: zeros stored in a sparse matrix become edges of weight zero; of the dense matrix they do not.
#
# A CSR matrix whose entries were set to zero (an edge dropped by a mask, a difference of two adjacencies) still
# stores them. from_scipy_sparse_array makes an edge of each stored entry, from_numpy_array of each that is not zero:
# two graphs of one matrix, with other degrees, components and shortest paths.
#
# Seen: a path of three nodes whose second edge was set to zero: two edges from the sparse matrix, one from the dense.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet networkx==3.6.1 scipy==1.17.1
"$folder/env/bin/python" - <<'PY'
import networkx
import numpy
from scipy.sparse import csr_array

rows, columns = numpy.array([0, 1, 1, 2]), numpy.array([1, 0, 2, 1])
matrix = csr_array((numpy.array([1.0, 1.0, 0.0, 0.0]), (rows, columns)), shape=(3, 3))
sparse = sorted(networkx.from_scipy_sparse_array(matrix).edges)
dense = sorted(networkx.from_numpy_array(matrix.toarray()).edges)
print(sparse, dense)
assert sparse == [(0, 1), (1, 2)] and dense == [(0, 1)], "the behaviour has changed"
PY
