#!/usr/bin/env bash
# torch-geometric 2.8.1: utils.degree of a node with more than 16,777,216 edges stops there.
#
# The degrees are counted in the default dtype, float32 ones added one by one, and 2^24 + 1 is no float32: every further edge leaves the
# count as it is, without a warning. Hubs of web and social graphs have more (and anything normalised by such a degree is then off by that
# factor). With dtype=torch.long the count is right.
#
# Seen on the CPU, one node with 20,000,000 incoming edges: 16777216.0, and 20000000 with dtype=torch.long.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1
"$folder/env/bin/python" - <<'PY'
import torch
from torch_geometric.utils import degree

index = torch.zeros(20_000_000, dtype=torch.long)
counted, whole = degree(index, 1).item(), degree(index, 1, dtype=torch.long).item()
print(counted, whole)
assert counted == 16_777_216 and whole == 20_000_000, "the behaviour has changed"
PY
