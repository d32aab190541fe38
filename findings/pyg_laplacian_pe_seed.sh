#!/usr/bin/env bash
# torch-geometric 2.8.1 on SciPy 1.17.1: AddLaplacianEigenvectorPE is not repeatable by seed_everything.
#
# Of graphs with many nodes the eigenvectors come from ARPACK, whose start vector SciPy draws from a generator of
# its own, seeded by the operating system: neither torch.manual_seed nor numpy.random.seed nor random.seed reaches
# it. The same graph with the same seed has columns of other signs, and other last digits, from call to call. Of
# small graphs, which are solved densely, the seed decides the signs, so that a test on one shows nothing.
#
# Seen: five calls on one graph of 300 nodes, seed_everything(1) before each: they differ by more than 0.1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1 scipy==1.17.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric import seed_everything
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE
from torch_geometric.utils import erdos_renyi_graph


def spread(num_nodes: int, density: float, calls: int) -> float:
    seed_everything(0)
    edge_index = erdos_renyi_graph(num_nodes, density)
    found = []
    for _ in range(calls):
        seed_everything(1)
        graph = Data(edge_index=edge_index, num_nodes=num_nodes)
        found.append(AddLaplacianEigenvectorPE(8)(graph).laplacian_eigenvector_pe)
    return max((one - found[0]).abs().max().item() for one in found)


small, large = spread(50, 0.3, 5), spread(300, 0.05, 5)
print(f"largest difference: {small:.1g} at 50 nodes, {large:.1g} at 300")
assert small == 0 and large > 0.1, "the behaviour has changed"
PY
