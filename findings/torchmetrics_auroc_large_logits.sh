#!/usr/bin/env bash
# torchmetrics 1.9.0: the AUROC of a model that ranks everything rightly is 0.5 if its logits are above 17.
#
# Scores outside [0, 1] are taken for logits and go through a sigmoid, as is documented, which keeps their order in arithmetic and not
# in float32: from 17 on every sigmoid is 1, and scores that differ are ties. Logits below -17 are told apart, so that a score depends on
# which class is called positive, and the surer a network is, the worse it is judged. Average precision does the same, for the pairs
# at the top that count most. scikit-learn ranks what it is given.
#
# Seen, two negatives below two positives: logits 10, 11, 12, 13 -> AUROC and average precision 1.0; 20, 21, 22, 23 -> 0.5 and 0.5;
# -23, -22, -21, -20 -> 1.0 and 1.0; scikit-learn 1.0 each time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1
"$folder/env/bin/python" -W error - <<'PY'
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

labels = torch.tensor([0, 0, 1, 1])
seen = []
for lowest in (10.0, 20.0, -23.0):
    logits = lowest + torch.arange(4)
    assert roc_auc_score(labels, logits) == average_precision_score(labels, logits) == 1
    seen.append((binary_auroc(logits, labels).item(), binary_average_precision(logits, labels).item()))
print("AUROC and average precision, logits from 10, from 20, from -23:", seen)
assert seen == [(1.0, 1.0), (0.5, 0.5), (1.0, 1.0)], "the behaviour has changed"
PY
