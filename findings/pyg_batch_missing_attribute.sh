#!/usr/bin/env bash
# torch-geometric 2.8.1: an attribute that the first graph of a batch lacks is lost for all graphs of that batch, without a word.
#
# A batch has the attributes of its first graph. One that only later graphs have is left out, and one that only later graphs lack is
# a KeyError. Where few graphs lack it (no bond, hence no edge_attr; an assay without a result), a shuffled loader stops at the first
# batch that such a graph does not lead; a batch that it leads, or a batch of one, goes through, and a model that takes edge_attr=None
# trains on it as if no graph of it had any. An in-memory dataset whose first graph is such a one has lost the attribute for good.
#
# Seen, graph A without edge_attr, B and C with it: A, B, C batched: no edge_attr, B and C taken out of it have none; B, A: KeyError;
# saved by InMemoryDataset.collate in the order A, B, C: none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.data import Batch, Data, InMemoryDataset

edges = torch.tensor([[0, 1], [1, 0]])
a = Data(x=torch.ones(2, 1), edge_index=edges)
b, c = (Data(x=torch.ones(2, 1), edge_index=edges, edge_attr=torch.full((2, 1), value)) for value in (2.0, 3.0))
behind, ahead = Batch.from_data_list([a, b, c]), Batch.from_data_list([b, c])
try:
    later = Batch.from_data_list([b, a]).keys()
except KeyError as error:
    later = repr(error)
stored, _ = InMemoryDataset.collate([a, b, c])
kept = ["edge_attr" in graph for graph in (ahead, behind, *behind.to_data_list(), stored)]
print("batch B, C; batch A, B, C; A, B, C taken out of it; stored:", kept, "- batch B, A:", later)
assert kept == [True] + 5 * [False] and later == "KeyError('edge_attr')", "the behaviour has changed"
PY
