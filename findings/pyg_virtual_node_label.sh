#!/usr/bin/env bash
# torch-geometric 2.8.1: VirtualNode gives the node that it adds a label, class 0.
#
# "Node and edge features of the virtual node are added as zero-filled input features": all that has a row for each node gets a row of
# zeros, and the labels of nodes with it. Zero is no missing label but the first class (or a target of 0): where a dataset has whole
# graphs for training and test and no masks, every graph has one node more to learn and one more that counts in the score. The label of
# a graph with one node has a row for each node as well: that graph then has two labels.
#
# Seen: nodes of classes 2, 1, 2 -> 2, 1, 2, 0; a graph of one node and label 1 -> 1, 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import VirtualNode

path = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), y=torch.tensor([2, 1, 2]))
point = Data(x=torch.ones(1, 1), edge_index=torch.empty(2, 0, dtype=torch.long), y=torch.tensor([1]))
labels = [VirtualNode()(graph).y.tolist() for graph in (path, point)]
print("three labelled nodes, one labelled graph of one node:", labels)
assert labels == [[2, 1, 2, 0], [1, 0]], "the behaviour has changed"
PY
