#!/usr/bin/env bash
# torch-geometric 2.8.1: a tensor whose name contains "batch" gets other values when graphs are batched.
#
# Names with "index" are known to be shifted by the number of nodes when graphs become one batch. Any tensor with
# "batch" somewhere in its name is shifted as well, by its own largest value plus one for each graph before it:
# a label of the laboratory batch that a sample came from (batch_effect, batch_id) arrives as another number.
# Taking the batch apart again restores it, so that a look at single graphs shows nothing.
#
# Seen: three graphs with batch_effect = 1 -> 1, 3, 5 in the batch; an attribute named lab stays 1, 1, 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.data import Batch, Data

edge_index = torch.tensor([[0, 1], [1, 0]])
one = torch.tensor([1])
graphs = [Data(edge_index=edge_index, num_nodes=2, batch_effect=one, lab=one) for _ in range(3)]
batch = Batch.from_data_list(graphs)
print(batch.batch_effect.tolist(), batch.lab.tolist())
assert batch.batch_effect.tolist() == [1, 3, 5], "the behaviour has changed"
assert batch.lab.tolist() == [1, 1, 1], "the behaviour has changed"
PY
