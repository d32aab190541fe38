#!/usr/bin/env bash
# torch-geometric 2.8.1: ToUndirected gives a graph of one edge its label twice, and a graph of one self-loop twice its label.
#
# An attribute is taken for one of the edges if it has as many rows as there are edges. A graph's label has one row, in either of
# the usual shapes (1,) and (1, tasks): of a graph with one edge it is reversed and merged like an edge's weight. In a batch with
# others the labels are then one more than the graphs, and where edges coincide class 1 becomes class 2 and a regression target
# twice itself. Molecules of two atoms, small parts of a graph and events with one interaction are such graphs.
#
# Seen: edge 0 -> 1 with y = (1): y = (1, 1); two graphs, three labels in the batch; edge 0 -> 0: y = (2); two edges: y = (1).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import ToUndirected


def undirected(*edges):
    return ToUndirected()(Data(x=torch.ones(3, 1), edge_index=torch.tensor(edges).T.contiguous(), y=torch.tensor([1])))


one, loop, two = undirected((0, 1)), undirected((0, 0)), undirected((0, 1), (1, 2))
seen = [one.y.tolist(), loop.y.tolist(), two.y.tolist(), len(Batch.from_data_list([one, two]).y)]
print("one edge, one self-loop, two edges, labels of a batch of two graphs:", seen)
assert seen == [[1, 1], [2], [1], 3], "the behaviour has changed"
PY
