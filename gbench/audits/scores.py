"""What answers of a table or a floor score in a dataset's own metric."""

from __future__ import annotations

import numpy as np

from gbench.audits.structure import Array

# as papers write them
UNITS = {"rocauc": "ROC-AUC", "ap": "AP", "mae": "MAE", "rmse": "RMSE", "r2": "R2"}


def score(metric: str, answers: Array, y: Array) -> float:
    """ROC-AUC or average precision, mean over tasks with both labels; MAE, RMSE or R² of numbers.

    MAE is over all entries, RMSE and R² are means over columns, as gbench/train/metrics.py has
    them. Shapes: answers, y (T, K), y with NaN where it is missing. NaN for any other metric, and
    where no task or column counts.
    """
    known = ~np.isnan(y)
    if metric not in UNITS or not known.any():
        return float("nan")
    if metric == "mae":
        return float(np.abs(answers - y)[known].mean())
    columns = [(answers[rows, k], y[rows, k]) for k, rows in enumerate(known.T) if rows.any()]
    if metric == "rmse":
        return _mean([float(np.sqrt(((said - truth) ** 2).mean())) for said, truth in columns])
    if metric == "r2":
        return _mean(
            [
                float(1 - ((said - truth) ** 2).sum() / ((truth.mean() - truth) ** 2).sum())
                for said, truth in columns
                if np.ptp(truth) > 0
            ]
        )
    from sklearn.metrics import average_precision_score, roc_auc_score

    function = roc_auc_score if metric == "rocauc" else average_precision_score
    return _mean(
        [float(function(truth, said)) for said, truth in columns if len(np.unique(truth)) == 2]
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
