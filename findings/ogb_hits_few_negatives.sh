#!/usr/bin/env bash
# ogb 1.3.6: Hits@K is 1.0 for any scores where there are fewer than K negative pairs.
#
# Hits@K is the share of positive pairs that score above the K-th best negative one. With fewer than K negatives
# there is no such one, and the evaluator answers 1.0 without looking at a score: a model that ranks every negative
# above every positive is perfect with 19 negatives and worthless with 20. A small validation part, or a run on a
# few batches to try things out, reads as solved.
#
# Seen: ogbl-ddi (Hits@20), all positives 0, all negatives 1: 19 negatives -> 1.0, 20 negatives -> 0.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 ogb==1.3.6 "setuptools<81"
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from ogb.linkproppred import Evaluator

hits = {}
for negatives in (19, 20):
    scores = {"y_pred_pos": torch.zeros(10), "y_pred_neg": torch.ones(negatives)}
    hits[negatives] = float(Evaluator("ogbl-ddi").eval(scores)["hits@20"])
print(hits)
assert hits == {19: 1.0, 20: 0.0}, "the behaviour has changed"
PY
