#!/usr/bin/env bash
# torchmetrics 1.9.0: equal scores have any ranking loss from 0 to 1, after the column in which the right label stands.
#
# The ranking loss is the share of pairs of a right and a wrong label that are ordered wrongly; a tie orders nothing. The
# function ranks the scores by a sort and takes the places for ranks, so that of equal scores the later column is the
# better one: a model that says the same of every label is perfect if the right one is last. scikit-learn counts every
# tie as wrong. Scores tie in untrained models, behind dead units, and where a sigmoid is 0 or 1 in float32.
#
# Seen, four labels, all scores 0.5, the right one in column 0, 1, 2, 3: 1, 2/3, 1/3, 0; scikit-learn 1 each time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from sklearn.metrics import label_ranking_loss
from torchmetrics.functional.classification import multilabel_ranking_loss

scores, seen, oracle = torch.full((1, 4), 0.5), [], []
for column in range(4):
    labels = torch.zeros(1, 4, dtype=torch.long)
    labels[0, column] = 1
    seen.append(round(float(multilabel_ranking_loss(scores, labels, num_labels=4)), 3))
    oracle.append(float(label_ranking_loss(labels, scores)))
print(seen, oracle)
assert seen == [1.0, 0.667, 0.333, 0.0] and oracle == [1.0] * 4, "the behaviour has changed"
PY
