#!/usr/bin/env bash
# torch-geometric 2.8.1: NormalizeFeatures leaves rows that do not sum to one, and moves the positive ones too.
#
# The transform is described as one that makes each row sum to one. It first takes the smallest entry of the whole
# matrix, whatever its sign, away from all entries, and then divides each row by its sum or by 1, whichever is
# larger: a row whose sum is less than one stays as it was. Features that are small already (tf-idf, shares with a
# part left out) are not normalised, and equal rows of ones become rows of zeros.
#
# Seen: rows (0, 0.1), (0.2, 0.3), (1, 2) -> row sums 0.1, 0.5, 1.0; and (1, 1), (1, 3) -> (0, 0), (0, 1).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import NormalizeFeatures

small = NormalizeFeatures()(Data(x=torch.tensor([[0.0, 0.1], [0.2, 0.3], [1.0, 2.0]]))).x
ones = NormalizeFeatures()(Data(x=torch.tensor([[1.0, 1.0], [1.0, 3.0]]))).x
print(small.sum(1).tolist(), ones.tolist())
assert torch.allclose(small.sum(1), torch.tensor([0.1, 0.5, 1.0])), "the behaviour has changed"
assert ones.tolist() == [[0.0, 0.0], [0.0, 1.0]], "the behaviour has changed"
PY
