#!/usr/bin/env bash
# torchmetrics 1.9.0: R2Score and ExplainedVariance of targets far from zero are wrong in the first or second digit.
#
# Both keep the sums of the targets and of their squares in the targets' float32 and subtract at the end, which leaves
# little of the variance when the mean is a hundred times the deviation and more, as of air pressures in pascals or total
# energies. The same numbers as float64 give what scikit-learn gives; minus the mean they do so as float32.
#
# Seen, 1,000 targets of mean 10,000 and deviation 1, in batches of 100: off by more than 0.1 as float32; as float64, and as
# float32 minus 10,000, right to 0.001.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1
"$folder/env/bin/python" - <<'PY'
import torch
from sklearn.metrics import r2_score
from torchmetrics import ExplainedVariance, R2Score


def off(kind, answers, targets):
    metric = kind()
    for answer, target in zip(answers.split(100), targets.split(100)):
        metric.update(answer, target)
    return abs(float(metric.compute()) - true)


generator = torch.Generator().manual_seed(0)
targets = 10_000 + torch.randn(1000, generator=generator)
answers = targets + 0.5 * torch.randn(1000, generator=generator)
true = r2_score(targets.double(), answers.double())
for kind in (R2Score, ExplainedVariance):
    errors = [off(kind, *pair) for pair in (
        (answers, targets),
        (answers.double(), targets.double()),
        (answers - 10_000, targets - 10_000),
    )]
    print(kind.__name__, *(f"{error:.4f}" for error in errors))
    assert errors[0] > 0.1 and max(errors[1:]) < 0.001, "the behaviour has changed"
PY
