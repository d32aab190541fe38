#!/usr/bin/env bash
# torch-geometric 2.8.1: of a disconnected graph AddLaplacianEigenvectorPE(k) returns trivial eigenvectors.
#
# The k non-trivial eigenvectors are promised, that is those of eigenvalues above zero. The transform leaves out
# one eigenvector, whatever the number of components; a graph of c components has c of eigenvalue zero, so that
# the first c - 1 columns tell which component a node is in and nothing of its place there.
#
# Seen: three paths of four nodes, k = 2: both columns are constant on every path.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1 scipy==1.17.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE
from torch_geometric.utils import get_laplacian, to_dense_adj

path = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
edge_index = torch.cat([path, path + 4, path + 8], dim=1)
pe = AddLaplacianEigenvectorPE(2)(Data(edge_index=edge_index, num_nodes=12))
pe = pe.laplacian_eigenvector_pe
index, weight = get_laplacian(edge_index, normalization="sym", num_nodes=12)
image = to_dense_adj(index, edge_attr=weight)[0] @ pe
print(f"largest entry of L pe: {image.abs().max():.1g}; of pe: {pe.abs().max():.1g}")
assert image.abs().max() < 1e-5 and pe.abs().max() > 0.1, "the behaviour has changed"
PY
