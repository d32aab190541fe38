#!/usr/bin/env bash
# torch-geometric 2.8.1: StdAggregation returns 0, with gradient 0, for a standard deviation below 0.0032.
#
# The documented formula is sqrt(var). The variance is raised to 1e-5 before the root, and what comes out at that floor is
# set to 0. Scaling the input by 100 then scales the output by no such factor: features of small scale (normalised rows of
# bag-of-words, outputs of a softmax over many classes, a layer's first outputs after a small initialisation) give PNA
# an aggregator of zeros that learns nothing. The variance of the same values is returned as it is.
#
# Seen: 0.001 and 0.005 (standard deviation 0.002) -> 0 with gradient 0; 0.1 and 0.5 -> 0.2; their variances 4e-6 and 0.04.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.nn.aggr import StdAggregation, VarAggregation

index = torch.tensor([0, 0])
small = torch.tensor([[0.001], [0.005]], requires_grad=True)
large = 100 * small.detach()
spread = StdAggregation()(small, index)
spread.sum().backward()
print(spread.item(), small.grad.tolist(), StdAggregation()(large, index).item(), VarAggregation()(small, index).item())
assert spread.item() == 0 and not small.grad.any(), "the behaviour has changed"
assert abs(StdAggregation()(large, index).item() - 0.2) < 1e-4
assert abs(VarAggregation()(small, index).item() - 4e-6) < 1e-9
PY
