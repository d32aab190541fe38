#!/usr/bin/env bash
# torch-geometric 2.8.1: get_laplacian leaves self-loops out, so that of A + I it gives the Laplacian of A.
#
# The documentation gives I - D^-1/2 A D^-1/2 for the matrix that is handed over. A self-loop is an entry of A and
# counts in D, and GCN's renormalised matrix has one at every node; the function removes them before it begins. On
# the path 0 - 1 with self-loops the formula has eigenvalues 0 and 1, what comes back has 0 and 2: spectra, spectral
# positional encodings and Chebyshev filters are those of another graph.
#
# Seen: diagonal 1 and off-diagonal -1 with and without the self-loops; the formula gives 0.5 and -0.5 with them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.utils import get_laplacian, to_dense_adj

plain = torch.tensor([[0, 1], [1, 0]])
looped = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 1]])


def given(edges):
    index, weight = get_laplacian(edges, normalization="sym", num_nodes=2)
    return to_dense_adj(index, edge_attr=weight)[0]


adjacency = to_dense_adj(looped)[0]
scale = adjacency.sum(1).rsqrt()
formula = torch.eye(2) - scale[:, None] * adjacency * scale
print(given(plain).tolist(), given(looped).tolist(), formula.tolist())
assert torch.equal(given(plain), given(looped)), "the behaviour has changed"
assert torch.allclose(formula, torch.tensor([[0.5, -0.5], [-0.5, 0.5]]))
assert torch.allclose(given(looped), torch.tensor([[1.0, -1.0], [-1.0, 1.0]])), "it has changed"
PY
