#!/usr/bin/env bash
# torchmetrics 1.9.0: a task whose labels are all of one class has AUROC 0 and takes part in the mean over tasks.
#
# Of one class alone there is no ROC curve. Benchmarks of molecules have tasks with few positives, whose validation part may have
# none; they leave such a task out of the mean (OGB) or say NaN (scikit-learn). Here it counts as a model that is wrong about
# every pair. A warning tells of a zero in the true positive score, and not of the mean. Average precision does the same
# over tasks, though over the classes of one task a class without positives is left out: two rules in one package.
#
# Seen, three tasks of AUROC 0.85 each, one of them without its positives: the mean is two thirds of what it is without
# that task; average precision of tasks likewise; of three classes, one of which does not occur, the mean of the other two.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torchmetrics==1.9.0
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
import torch
from torchmetrics.functional.classification import (
    multiclass_average_precision,
    multilabel_auroc,
    multilabel_average_precision,
)

torch.manual_seed(0)
scores = torch.rand(200, 3)
labels = (torch.rand(200, 3) < scores).long()
labels[:, 2] = 0
shares = {}
for metric in (multilabel_auroc, multilabel_average_precision):
    all_three, first_two = metric(scores, labels, num_labels=3), metric(scores[:, :2], labels[:, :2], num_labels=2)
    shares[metric.__name__] = round(float(all_three / first_two), 3)
classes = torch.randint(2, (200,))
of_classes = multiclass_average_precision(scores, classes, num_classes=3, average=None)[:2].mean()
shares["multiclass"] = round(float(multiclass_average_precision(scores, classes, num_classes=3) / of_classes), 3)
print(shares)
assert [*shares.values()] == [0.667, 0.667, 1.0], "the behaviour has changed"
PY
