#!/usr/bin/env bash
# torch-geometric 2.8.1: GATConv and GATv2Conv do not see the features of self-loops that a graph has.
#
# Unless told not to, both take self-loops away and add one to every node, with the mean of the features of the other edges that enter
# it; fill_value is described as for the features of those that are added. What a graph says on an edge from a node to itself (a payment
# within one account, an autapse, the edges within a cluster after pooling) never reaches the layer, and the layer learns nothing
# about it. GCNConv adds those that are missing and keeps the others' weights.
#
# Seen: the features of the self-loop at node 1 set to 1 and to 50: one answer from both layers, another one from GCNConv; with
# add_self_loops=False another one from both, too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.nn import GATConv, GATv2Conv, GCNConv

torch.manual_seed(0)
edges = torch.tensor([[0, 1, 1], [1, 2, 1]])  # 0 -> 1, 1 -> 2 and the self-loop 1 -> 1
layers = {
    "GATConv": GATConv(4, 4, edge_dim=1),
    "GATv2Conv": GATv2Conv(4, 4, edge_dim=1),
    "GATConv, none added": GATConv(4, 4, edge_dim=1, add_self_loops=False),
    "GATv2Conv, none added": GATv2Conv(4, 4, edge_dim=1, add_self_loops=False),
    "GCNConv": GCNConv(4, 4),
}
x = torch.randn(3, 4)
told = {}
for name, layer in layers.items():
    low, high = (layer(x, edges, torch.tensor([1.0, 2.0, feature])) for feature in (1.0, 50.0))
    told[name] = not torch.allclose(low, high)
print("the self-loop's features change the answer:", told)
assert [*told.values()] == [False, False, True, True, True], "the behaviour has changed"
PY
