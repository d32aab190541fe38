#!/usr/bin/env bash
# torch-geometric 2.8.1: a dense convolution of to_dense_adj's matrix sends messages against the edges.
#
# to_dense_adj writes edge (i, j) to A[i, j]. SAGEConv, GraphConv, GATConv and GINConv let i send to j; DenseSAGEConv and its
# siblings multiply A by the features, so that i receives from j. Each states only "adjacency tensor". With the same weights, a
# directed graph gets another answer from the dense layer than from the sparse one, and the right one if the matrix is turned.
#
# Seen, edges 0 -> 1, 2 -> 0, 2 -> 1: all four dense layers agree with their siblings on A's transpose, and not on A.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric import nn
from torch_geometric.utils import to_dense_adj

torch.manual_seed(0)
edge_index = torch.tensor([[0, 2, 2], [1, 0, 1]])
x, adjacency = torch.randn(3, 2), to_dense_adj(edge_index)[0]
linear = torch.nn.Linear(2, 2)
pairs = {
    "SAGE": (nn.SAGEConv(2, 2), nn.DenseSAGEConv(2, 2)),
    "Graph": (nn.GraphConv(2, 2), nn.DenseGraphConv(2, 2)),
    "GAT": (nn.GATConv(2, 2), nn.DenseGATConv(2, 2)),
    "GIN": (nn.GINConv(linear), nn.DenseGINConv(linear)),
}
with torch.no_grad():
    for name, (sparse, dense) in pairs.items():
        values = dict(sparse.named_parameters())
        if name == "SAGE":
            values = {"lin_rel.weight": values["lin_l.weight"], "lin_root.weight": values["lin_r.weight"],
                      "lin_root.bias": values["lin_l.bias"]}
        for key, parameter in dense.named_parameters():
            parameter.copy_(values[key].view_as(parameter))
        wanted = sparse(x, edge_index)
        as_given, turned = dense(x, adjacency)[0], dense(x, adjacency.t())[0]
        print(name, torch.allclose(as_given, wanted, atol=1e-6), torch.allclose(turned, wanted, atol=1e-6))
        assert not torch.allclose(as_given, wanted, atol=1e-6), "the behaviour has changed"
        assert torch.allclose(turned, wanted, atol=1e-6), "the behaviour has changed"
PY
