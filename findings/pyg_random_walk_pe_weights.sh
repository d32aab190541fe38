#!/usr/bin/env bash
# torch-geometric 2.8.1: AddRandomWalkPE divides by the weighted degree and leaves the weights out.
#
# Of a weighted graph the random walk goes from i to j with probability w_ij / sum_k w_ik. The transform sets it to
# 1 / sum_k w_ik for every edge: the rows of its transition matrix do not sum to one, and the encoding depends on
# the unit in which weights are given.
#
# Seen: a path 0-1-2 whose edges both have weight w: a walk of two steps from node 0 is back with probability 1/2
# whatever w is; the encoding says 0.5 for w = 1 and 0.125 for w = 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import AddRandomWalkPE

edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
back = {}
for w in (1.0, 2.0):
    graph = Data(edge_index=edge_index, edge_weight=torch.full((4,), w), num_nodes=3)
    back[w] = AddRandomWalkPE(walk_length=2)(graph).random_walk_pe[0, 1].item()
print(back)
assert back == {1.0: 0.5, 2.0: 0.125}, "the behaviour has changed"
PY
