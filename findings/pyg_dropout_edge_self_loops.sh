#!/usr/bin/env bash
# torch-geometric 2.8.1: dropout_edge(force_undirected=True) returns each kept self-loop twice.
#
# The option keeps or drops the two directions of an undirected edge together. It draws on one direction, self-loops
# among them, and appends the reverse of all that is kept; the reverse of a self-loop is itself. A graph with self-loops
# (after GCN's renormalisation, say) leaves training with their weight doubled, and with other degrees than in evaluation,
# where nothing is dropped and nothing doubled.
#
# Seen: edges 0-1 (both directions) and 2->2, a drop probability of one in 10^9: 0-1 once each way, 2->2 twice.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
from collections import Counter

import torch
from torch_geometric.utils import dropout_edge

edges = torch.tensor([[0, 1, 2], [1, 0, 2]])
torch.manual_seed(0)
kept, _ = dropout_edge(edges, p=1e-9, force_undirected=True)
counted = Counter(map(tuple, kept.T.tolist()))
print(counted)
assert counted == {(0, 1): 1, (1, 0): 1, (2, 2): 2}, "the behaviour has changed"
PY
