#!/usr/bin/env bash
# torch-geometric 2.8.1: ToUndirected doubles the weight of self-loops.
#
# Making an undirected graph adds the reverse of each edge and adds the weights of edges that coincide. The
# reverse of a self-loop is itself, so that its weight (or its edge_attr) is counted twice, and all others once:
# the diagonal of the adjacency matrix is scaled by two, which every weighted normalisation then sees.
#
# Seen: edges 0->0 and 0->1 of weight 1 -> 0->0 of weight 2, 0->1 and 1->0 of weight 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import ToUndirected

graph = Data(edge_index=torch.tensor([[0, 0], [0, 1]]), edge_weight=torch.ones(2), num_nodes=2)
graph = ToUndirected()(graph)
weights = dict(zip(map(tuple, graph.edge_index.T.tolist()), graph.edge_weight.tolist(), strict=True))
print(weights)
assert weights == {(0, 0): 2.0, (0, 1): 1.0, (1, 0): 1.0}, "the behaviour has changed"
PY
