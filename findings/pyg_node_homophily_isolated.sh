#!/usr/bin/env bash
# torch-geometric 2.8.1: node homophily counts a node without neighbours as one whose neighbours all differ.
#
# Node homophily is the mean, over nodes, of the share of neighbours with the node's label; of a node without neighbours
# the share is 0/0, and it says nothing of homophily. homophily(method="node") counts it as 0: on data with many isolated
# nodes (CiteSeer has 48, parts of a split graph many more) the measure falls although no edge joins different labels.
#
# Seen: two joined nodes and two nodes without edges, all of one label: node homophily 0.5, edge homophily 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.utils import homophily

edges, y = torch.tensor([[0, 1], [1, 0]]), torch.zeros(4, dtype=torch.long)
node, edge = homophily(edges, y, method="node"), homophily(edges, y, method="edge")
print(node, edge)
assert abs(node - 0.5) < 1e-6 and edge == 1, "the behaviour has changed"
PY
