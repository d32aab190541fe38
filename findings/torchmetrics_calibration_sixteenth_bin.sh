#!/usr/bin/env bash
# torchmetrics 1.9.0: the calibration error with 15 bins puts a confidence of exactly 1 into a sixteenth.
#
# The expected calibration error of Guo et al. (2017) sorts predictions by confidence into M equal bins, of which the last
# is ((M - 1)/M, 1]. multiclass_calibration_error(n_bins=15) closes its bins on the left, and 1.0 lies beyond the last: it is
# compared with others that are exactly 1 and with none of 0.95. A float32 softmax is exactly 1 wherever one logit
# is ahead by 17.4 or more, which overconfident networks are often, and a bin more can only raise the error.
#
# Seen: a wrong answer of confidence 1 and a right one of 0.95: 0.525 (two bins) where one bin gives 0.475; with 0.999
# in the place of 1 it is one bin.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torchmetrics==1.9.0
"$folder/env/bin/python" - <<'PY'
import torch
from torchmetrics.functional.classification import multiclass_calibration_error


def error(confidence):
    answers = torch.tensor([[confidence, 1 - confidence], [0.95, 0.05]])
    return float(multiclass_calibration_error(answers, torch.tensor([1, 0]), num_classes=2, n_bins=15))


print(error(1.0), error(0.999))
assert abs(error(1.0) - (1.0 + 0.05) / 2) < 1e-5, "the behaviour has changed"
assert abs(error(0.999) - abs((0.999 + 0.95) / 2 - 0.5)) < 1e-5, "the behaviour has changed"
assert torch.tensor([17.5, 0.0]).softmax(0)[0] == 1.0
PY
