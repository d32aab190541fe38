#!/usr/bin/env bash
# torchmetrics 1.9.0: a classifier that says the same of everything has a Matthews correlation of up to 0.98, not 0.
#
# Such a classifier has learnt nothing: the coefficient is 0/0, and 0 by convention (scikit-learn's answer too), which is why it
# is taken for skewed classes. matthews_corrcoef puts a small number in the place of the zeros above and below, and the
# quotient of the two grows with the skew: a model that never finds the one positive among a hundred is shown as nearly
# perfect, and the epoch before it has learnt anything may be chosen as the best. With equally many of both it is 0.
#
# Seen, all answers negative, of 100: 1 positive -> 0.985; 10 -> 0.267; 30 -> 0.087; 50 -> 0.0. scikit-learn: 0.0 each time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1
"$folder/env/bin/python" - <<'PY'
import torch
from sklearn import metrics
from torchmetrics.functional.classification import binary_matthews_corrcoef

answers = torch.zeros(100, dtype=torch.long)
seen = {}
for positives in (1, 10, 30, 50):
    labels = (torch.arange(100) < positives).long()
    seen[positives] = round(float(binary_matthews_corrcoef(answers, labels)), 3)
    assert metrics.matthews_corrcoef(labels, answers) == 0.0
print(seen)
assert seen == {1: 0.985, 10: 0.267, 30: 0.087, 50: 0.0}, "the behaviour has changed"
PY
