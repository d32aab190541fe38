#!/usr/bin/env bash
# torch-geometric 2.8.1: the losses of DiffPool depend on how far a graph is padded and on the size of the batch.
#
# Both auxiliary losses are divided by the number of entries of the padded tensors, and not of those that the mask tells to be nodes:
# one large graph in a batch takes their weight away for all others. The link loss is one Frobenius norm of the whole batch,
# divided by a number that grows with the batch, so that it falls with the root of the batch size as well. The weight of the losses is
# thus not one number that can be tuned, and differs between training and a last, smaller batch. Mincut pooling's and DMoN's do not.
#
# Seen, a cycle of 5 nodes: padded to 10 nodes link loss / 4 and entropy / 2, to 50 nodes / 100 and / 10; the same graph four
# times in the batch: link loss / 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.nn import dense_diff_pool

torch.manual_seed(0)
cycle = torch.eye(5).roll(1, 0) + torch.eye(5).roll(-1, 0)
assignment = torch.randn(5, 2)


def losses(padded_to, graphs):
    adjacency, scores = torch.zeros(graphs, padded_to, padded_to), torch.zeros(graphs, padded_to, 2)
    adjacency[:, :5, :5], scores[:, :5] = cycle, assignment
    mask = (torch.arange(padded_to) < 5).expand(graphs, -1)
    return torch.stack(dense_diff_pool(torch.ones(graphs, padded_to, 1), adjacency, scores, mask)[2:])


alone = losses(5, 1)
ratios = [(alone / losses(*shape)).tolist() for shape in ((10, 1), (50, 1), (5, 4))]
print(ratios)
expected = torch.tensor([[4.0, 2.0], [100.0, 10.0], [2.0, 1.0]])
assert torch.allclose(torch.tensor(ratios), expected, rtol=1e-3), "the behaviour has changed"
PY
