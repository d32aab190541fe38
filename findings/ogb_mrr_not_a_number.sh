#!/usr/bin/env bash
# ogb 1.3.6: a model whose scores are NaN has the best MRR there is, 1.0, and Hits@1 of 1.0.
#
# The rank of the true pair is one plus the number of negative pairs with a higher score, and NaN is not lower than any number. A
# run that diverged, or whose normalisation divides by zero for every pair, wins: a checkpoint chosen by validation MRR is the first
# one with NaN in it, and stays the best. The other evaluators either refuse NaN (ROC-AUC) or give 0 (Hits@K of ogbl-collab).
#
# Seen, ogbl-citation2, 1,000 negatives for each pair: all scores NaN, or the true pairs' alone: MRR and Hits@1 1.0; Hits@50 of
# ogbl-collab 0.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 ogb==1.3.6 "setuptools<81"
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from ogb.linkproppred import Evaluator

broken = torch.full((10,), torch.nan)
seen = []
for negatives in (torch.rand(10, 1000), torch.full((10, 1000), torch.nan)):
    answer = Evaluator("ogbl-citation2").eval({"y_pred_pos": broken, "y_pred_neg": negatives})
    seen += [float(answer["mrr_list"].mean()), float(answer["hits@1_list"].mean())]
hits = float(Evaluator("ogbl-collab").eval({"y_pred_pos": broken, "y_pred_neg": torch.rand(1000)})["hits@50"])
print(seen, hits)
assert seen == [1.0] * 4 and hits == 0.0, "the behaviour has changed"
PY
