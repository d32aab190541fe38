#!/usr/bin/env bash
# torch-geometric 2.8.1: RandomLinkSplit numbers the types of edges one way for training and another way for validation.
#
# Of edges that carry a class, label 0 is kept for the sampled pairs that are no edge, and each class goes up by one. With
# add_negative_train_samples=False, which is advised where a model samples negatives itself, the training part has no such pairs
# and its classes stay as they are; those of validation and test go up. A model that learns class 2 as 2 is asked for 3
# at validation, and none of the three parts looks wrong by itself. With the option left at True all three agree.
#
# Seen, twelve edges of classes 0 to 11, sampled and not: validation and test always class + 1; training class + 1 with
# negatives, class + 0 without.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import RandomLinkSplit

edges = torch.stack([torch.arange(12), torch.arange(12, 24)])
graph = Data(edge_index=edges, edge_label=torch.arange(12), num_nodes=24)
shifts = {}
for negatives in (True, False):
    torch.manual_seed(0)
    parts = RandomLinkSplit(num_val=0.25, num_test=0.25, add_negative_train_samples=negatives)(graph)
    for name, part in zip(("train", "valid", "test"), parts, strict=True):
        source, target = part.edge_label_index
        real = target - source == 12
        (shifts[negatives, name],) = (part.edge_label - source)[real].unique().tolist()
print(shifts)
assert [*shifts.values()] == [1, 1, 1, 0, 1, 1], "the behaviour has changed"
PY
