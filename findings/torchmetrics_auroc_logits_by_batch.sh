#!/usr/bin/env bash
# torchmetrics 1.9.0: the AUROC of logits depends on the batch size in which they were handed over.
#
# Scores outside [0, 1] are taken for logits and go through a sigmoid, as is documented; a sigmoid changes no ranking. But each call of
# update decides for its own batch. A batch whose logits all happen to lie between 0 and 1 stays as it is and is then ranked
# among the sigmoids of the others, where 0.1 comes below sigmoid(-1) = 0.27. The smaller the batches (a last one of a
# few graphs, large graphs in batches of 2), the more of them. Average precision, accuracy and F1 decide in the same way.
#
# Seen, 512 logits of mean 0.3 and deviation 0.5: 0.756 in one batch (as scikit-learn), in batches of 2 lower by more than 0.05.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from sklearn.metrics import roc_auc_score
from torchmetrics.classification import BinaryAUROC

generator = torch.Generator().manual_seed(0)
logits = torch.randn(512, generator=generator) * 0.5 + 0.3
labels = (torch.rand(512, generator=generator) < torch.sigmoid(2 * logits)).long()


def in_batches(size):
    metric = BinaryAUROC()
    for scores, truth in zip(logits.split(size), labels.split(size), strict=True):
        metric.update(scores, truth)
    return float(metric.compute())


whole, pairs, truth = in_batches(512), in_batches(2), roc_auc_score(labels, logits)
print(f"{truth:.3f} {whole:.3f} {pairs:.3f}")
assert abs(whole - truth) < 1e-4 and pairs < truth - 0.05, "the behaviour has changed"
PY
