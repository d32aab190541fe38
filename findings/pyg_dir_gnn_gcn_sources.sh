#!/usr/bin/env bash
# torch-geometric 2.8.1: DirGNNConv around a GCNConv silences every node that nothing points to.
#
# Dir-GCN (Rossi et al., LoG 2023, equation 5) scales an edge by the sender's out-degree and the receiver's in-degree. The wrapper
# switches the self-loops of the layer that it is given off and leaves its normalisation alone, which takes the in-degree for both ends.
# A node without in-edges has the factor 0 there: what it sends is lost, in the forward direction, and likewise what a node without
# out-edges sends in the reverse one. In a citation graph that is every paper that nobody cites. All other edges get another factor than the
# paper's, unless in- and out-degree are equal.
#
# Seen, path 0 -> 1 -> 2, weights 1, features 1, 10, 100: the forward direction gives 0, 0, 10 (the paper's: 0, 1, 10), the reverse one
# 10, 0, 0 (10, 100, 0). A Dir-SAGE, whose layer takes means, is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.nn import DirGNNConv, GCNConv, SAGEConv

edge_index = torch.tensor([[0, 1], [1, 2]])
x = torch.tensor([[1.0], [10.0], [100.0]])
A = torch.zeros(3, 3).index_put((edge_index[0], edge_index[1]), torch.ones(2))
out_degree, in_degree = A.sum(1).clamp(min=1), A.sum(0).clamp(min=1)
normalised = A / (out_degree[:, None] * in_degree).sqrt()


def of(layer, alpha):
    wrapped = DirGNNConv(layer, alpha=alpha, root_weight=False)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            parameter.fill_(1.0)
        return wrapped(x, edge_index).flatten().tolist()


forward, reverse = of(GCNConv(1, 1, bias=False), 0.0), of(GCNConv(1, 1, bias=False), 1.0)
paper = [(normalised.t() @ x).flatten().tolist(), (normalised @ x).flatten().tolist()]
print("GCN", forward, reverse, "paper", *paper)
assert forward == [0.0, 0.0, 10.0] and reverse == [10.0, 0.0, 0.0], "the behaviour has changed"
assert paper == [[0.0, 1.0, 10.0], [10.0, 100.0, 0.0]]
mean = of(SAGEConv(1, 1, root_weight=False, bias=False), 0.0)
print("SAGE", mean)
assert mean == [0.0, 1.0, 10.0], "the behaviour has changed"
PY
