#!/usr/bin/env bash
# optuna 5.0.0: PatientPruner never prunes a trial that has stopped improving, and a larger min_delta makes it more patient still.
#
# It is described as early stopping: a trial is pruned once it has not improved for `patience` steps, where min_delta tells what
# counts as an improvement. What is compared is whether the best value of the last patience + 1 steps is *worse* than the best
# one before, by more than min_delta. A flat curve never is; nor is one that creeps up by less than min_delta a step, which is
# what min_delta is set for. Early stopping as Lightning and Keras have it stops all three.
#
# Seen, patience 3, 30 steps to be maximised: flat at 0.5: not pruned; up by 0.001 a step with min_delta=0.1: not pruned; down
# from 0.9 to 0.85 at the first step: pruned with min_delta=0, not pruned with min_delta=0.1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet optuna==5.0.0
PYTHONWARNINGS=ignore "$folder/env/bin/python" - 2> "$folder/told" <<'PY' || { cat "$folder/told"; exit 1; }
import optuna


def pruned(curve, min_delta):
    pruner = optuna.pruners.PatientPruner(None, patience=3, min_delta=min_delta)
    trial = optuna.create_study(direction="maximize", pruner=pruner).ask()
    for step, value in enumerate(curve):
        trial.report(value, step)
        if trial.should_prune():
            return step
    return None


flat, creeping, fallen = [0.5] * 30, [0.5 + 0.001 * step for step in range(30)], [0.9] + [0.85] * 29
seen = [pruned(flat, 0.0), pruned(creeping, 0.1), pruned(fallen, 0.0), pruned(fallen, 0.1)]
print(seen)
assert seen == [None, None, 4, None], "the behaviour has changed"
PY
