"""The best scores of functions of codes, against a search through all functions."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from gbench.audits.best import (
    absolute_error,
    accuracy,
    average_precision,
    determination,
    in_metric,
    roc_auc,
    squared_error,
)
from gbench.audits.scores import score
from gbench.data.manage import card_of
from gbench.train.metrics import root_mean_squared_error


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    codes = np.unique(random.integers(0, 4, 12), return_inverse=True)[1]
    return codes, random.integers(0, 2, 12)


def functions(codes: np.ndarray, values: int) -> list[np.ndarray]:
    number = int(codes.max()) + 1
    return [np.array(chosen)[codes] for chosen in product(range(values), repeat=number)]


@pytest.mark.parametrize("seed", range(8))
def test_no_function_of_codes_scores_more(seed: int) -> None:
    codes, y = drawn(seed)
    assert 0 < y.sum() < len(y)
    right = max(float((said == y).mean()) for said in functions(codes, 2))
    assert accuracy(codes, y) == pytest.approx(100 * right)
    area = max(roc_auc_score(y, said) for said in functions(codes, 4))
    assert roc_auc(codes, y[:, None].astype(float)) == pytest.approx(area)


def test_several_tasks_with_gaps() -> None:
    codes = np.array([0, 0, 1, 1, 2])
    nan = np.nan
    y = np.array([[1, 0, 1], [0, nan, 1], [1, 0, 1], [0, 1, nan], [nan, 1, 1]])
    # the first task's codes tell nothing; the second: 0 above 1, but for one pair that is tied
    shares = [[0.5, 0.5, 0.5, 0.5], [0, 0.5, 0.5, 1]]
    first = roc_auc_score([1, 0, 1, 0], shares[0])
    second = roc_auc_score([0, 0, 1, 1], shares[1])
    assert (first, second) == (0.5, 0.875)
    assert roc_auc(codes, y) == pytest.approx((first + second) / 2)  # the third has one label
    precise = [
        average_precision_score(labels, share)
        for labels, share in zip(([1, 0, 1, 0], [0, 0, 1, 1]), shares, strict=True)
    ]
    assert average_precision(codes, y) == pytest.approx(sum(precise) / 2)
    assert np.isnan(roc_auc(codes, y[:, 2:]))


def test_numbers_by_code() -> None:
    codes = np.array([1, 1, 1, 3, 3, 0])
    y = np.array([[1.0], [5.0], [2.0], [4.0], [8.0], [7.0]])
    # medians 2, 6, 7 and means 8/3, 6, 7
    assert absolute_error(codes, y) == pytest.approx((1 + 3 + 0 + 2 + 2 + 0) / 6)
    said = np.array([8 / 3] * 3 + [6, 6, 7])
    assert squared_error(codes, y) == pytest.approx(np.sqrt(((y[:, 0] - said) ** 2).mean()))
    assert determination(codes, y) == pytest.approx(r2_score(y[:, 0], said))


def test_missing_numbers_are_left_out() -> None:
    codes = np.array([0, 0, 0, 1])
    y = np.array([[1.0, np.nan], [3.0, 2.0], [np.nan, 4.0], [9.0, 9.0]])
    assert absolute_error(codes, y) == pytest.approx((1 + 1 + 0 + 1 + 1 + 0) / 6)


def test_errors_of_several_targets_are_those_of_the_metrics() -> None:
    random = np.random.default_rng(0)
    codes, y = random.integers(0, 4, 30), random.normal(size=(30, 3)) * [1, 10, 100]
    y[random.random(y.shape) < 0.2] = np.nan
    said = np.full(y.shape, np.nan)
    for code, task in product(range(4), range(3)):
        said[codes == code, task] = np.nanmean(y[codes == code, task])
    rmse = root_mean_squared_error(torch.from_numpy(said), torch.from_numpy(y))
    assert squared_error(codes, y) == pytest.approx(rmse)
    assert score("rmse", said, y) == pytest.approx(rmse)
    known = [~np.isnan(column) for column in y.T]
    r2 = [r2_score(y[k, task], said[k, task]) for task, k in enumerate(known)]
    assert determination(codes, y) == pytest.approx(np.mean(r2))


def test_unlabelled_items_and_none_at_all() -> None:
    assert accuracy(np.array([0, 0, 0, 1]), np.array([1, 1, -1, 0])) == 100
    assert np.isnan(accuracy(np.zeros(0, dtype=int), np.zeros(0, dtype=int)))


def test_what_is_exact_in_a_metric() -> None:
    assert [kind.name for kind in in_metric(card_of("minesweeper"))] == ["ROC-AUC ceiling"]
    assert [kind.name for kind in in_metric(card_of("zinc"))] == ["MAE floor"]
    assert not in_metric(card_of("cora"))  # accuracy is told of all classes
