#!/usr/bin/env bash
# scikit-learn 1.9.1 with scipy 1.17.1: a small sparse array made of integer coordinates is refused by some classifiers and not by others.
#
# Coordinates come as 64-bit integers from NumPy and from PyTorch. SciPy's older coo_matrix narrows them to 32 bits where these suffice;
# the newer coo_array, recommended in its place, keeps them, and so does all that is made of it. The documentation of each estimator asks
# for a sparse matrix of any kind; liblinear, saga, SGD and forests then refuse 64-bit indices, lbfgs and newton-cg take them. A search over
# solvers, or a change of array type that should change nothing, ends some of its runs. csr_matrix(array) keeps them too.
#
# Seen, features of 4 nodes: as coo_matrix all five fit; as coo_array lbfgs alone; that as csr_matrix, lbfgs and the forest.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$folder/env/bin/python" - <<'PY'
import numpy as np
from scipy.sparse import coo_array, coo_matrix, csr_matrix
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.svm import LinearSVC

entries = np.ones(4), (np.arange(4), np.array([0, 0, 1, 1]))
features = [coo_matrix(entries), coo_array(entries), csr_matrix(coo_array(entries))]
models = [
    LogisticRegression(),
    LogisticRegression(solver="liblinear"),
    LinearSVC(),
    SGDClassifier(),
    RandomForestClassifier(2),
]
fits = []
for x in features:
    fits.append([])
    for model in models:
        try:
            model.fit(x, [0, 0, 1, 1])
            fits[-1].append(True)
        except ValueError as error:
            assert "int64" in str(error), error
            fits[-1].append(False)
print("coo_matrix, coo_array, csr_matrix of coo_array; lbfgs, liblinear, LinearSVC, SGD, forest:", fits)
assert fits == [5 * [True], [True, False, False, False, False], [True, False, False, False, True]], "the behaviour has changed"
PY
