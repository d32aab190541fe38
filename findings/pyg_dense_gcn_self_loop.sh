#!/usr/bin/env bash
# torch-geometric 2.8.1: DenseGCNConv writes 1 over every self-loop's weight, where GCNConv keeps it.
#
# Both add self-loops unless told not to. GCNConv adds those that are missing; DenseGCNConv sets the whole diagonal to 1. A pooled
# adjacency SᵀAS has on its diagonal the edges within each cluster, mostly the largest weights it has: two layers of DiffPool
# with DenseGCNConv between them lose them, and the layer's answer does not depend on them.
#
# Seen: self-loops of weight 1 and 5 give the same answer in DenseGCNConv; in GCNConv they do not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.nn import DenseGCNConv, GCNConv

torch.manual_seed(0)
x = torch.randn(2, 3)
edge_index = torch.tensor([[0, 0, 1], [0, 1, 0]])
sparse, dense = GCNConv(3, 2), DenseGCNConv(3, 2)
with torch.no_grad():
    dense.lin.weight.copy_(sparse.lin.weight)
    answers = {
        loop: (sparse(x, edge_index, torch.tensor([loop, 1.0, 1.0])), dense(x, torch.tensor([[loop, 1.0], [1.0, 0.0]]))[0])
        for loop in (1.0, 5.0)
    }
same = [torch.allclose(one, other, atol=1e-6) for one, other in zip(answers[1.0], answers[5.0])]
print("the same for both weights: GCNConv", same[0], "DenseGCNConv", same[1])
assert torch.allclose(*answers[1.0], atol=1e-6)
assert same == [False, True], "the behaviour has changed"
PY
