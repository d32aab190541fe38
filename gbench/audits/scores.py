"""What answers of a table or a floor score in a dataset's own metric."""

from __future__ import annotations

import numpy as np

from gbench.audits.structure import Array

UNITS = {"rocauc": "ROC-AUC", "ap": "AP", "mae": "MAE", "rmse": "RMSE"}  # as papers write them


def score(metric: str, answers: Array, y: Array) -> float:
    """ROC-AUC or average precision, mean over tasks with both labels; MAE or RMSE of numbers.

    Shapes: answers, y (T, K), y with NaN where it is missing. NaN for any other metric and where no
    task has both labels.
    """
    known = ~np.isnan(y)
    if metric == "mae":
        return float(np.abs(answers - y)[known].mean())
    if metric == "rmse":
        return float(np.sqrt(((answers - y) ** 2)[known].mean()))
    if metric not in UNITS:
        return float("nan")
    from sklearn.metrics import average_precision_score, roc_auc_score

    function = roc_auc_score if metric == "rocauc" else average_precision_score
    found = [
        function(y[rows, task], answers[rows, task])
        for task, rows in enumerate(known.T)
        if len(np.unique(y[rows, task])) == 2
    ]
    return float(np.mean(found)) if found else float("nan")
